/**
 * A GuestLayout as JSON, for the wire and for the store's manifest. What comes in is checked field
 * by field.
 */
import { CurlingError } from '../../common/errors.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { shown } from '../../common/shown.ts';
import { type GuestLayout, PAGE_BYTES, type RamBlock, type RamSection } from './layout.ts';

export const BLOCKS_MAX = 1024;
const SUBSECTIONS_BYTES_MAX = 64 << 10;

/** The layout as plain JSON data; binary fields are base64. */
export function layoutToJson(layout: GuestLayout): unknown {
  return { ...layout, subsections: layout.subsections.toString('base64') };
}

/**
 * The layout from parsed JSON.
 * @throws CurlingError CURLING_REPLICATION_FRAME when a field is missing, of the wrong type or out
 *   of range.
 */
export function layoutFromJson(json: unknown): GuestLayout {
  const { machine, subsections, oldForm = false, ram, blocks, mainBlock } = record('layout', json);
  expect(typeof oldForm === 'boolean', 'oldForm', 'true or false', oldForm);
  if (oldForm) expect(machine === '', 'machine', 'none in the old form', machine);
  else expect(isText(machine, 255), 'machine', 'a name', machine);
  expect(typeof subsections === 'string', 'subsections', 'base64', typeof subsections);
  const bytes = Buffer.from(subsections, 'base64');
  expect(bytes.length <= SUBSECTIONS_BYTES_MAX, 'subsections', 'at most 64 KiB', bytes.length);
  expect(Array.isArray(blocks), 'blocks', 'a list', typeof blocks);
  expect(blocks.length > 0 && blocks.length <= BLOCKS_MAX, 'blocks', '1 to 1024', blocks.length);
  expect(isNatural(mainBlock, blocks.length - 1), 'mainBlock', 'an index', mainBlock);
  const layout = {
    machine,
    subsections: bytes,
    ...(oldForm ? { oldForm } : {}),
    ram: sectionOf(ram),
    blocks: blocks.map(blockOf),
    mainBlock,
  };
  const mainBytes = layout.blocks[mainBlock]!.bytes;
  expect(mainBytes > 0 && mainBytes % PAGE_BYTES === 0, 'main block', 'whole pages', mainBytes);
  return layout;
}

function sectionOf(json: unknown): RamSection {
  const { sectionId, instanceId, version } = record('ram', json);
  expect(isNatural(sectionId, 0xffffffff), 'ram.sectionId', 'a u32', sectionId);
  expect(isNatural(instanceId, 0xffffffff), 'ram.instanceId', 'a u32', instanceId);
  expect(isNatural(version, 0xffffffff), 'ram.version', 'a u32', version);
  return { sectionId, instanceId, version };
}

function blockOf(json: unknown, index: number): RamBlock {
  const { name, bytes } = record(`block ${index}`, json);
  expect(isText(name, 255), `block ${index}`, 'a name', name);
  // A page number is a u32 on the wire.
  expect(isNatural(bytes, PAGE_BYTES * 2 ** 32), `block ${name}`, 'a size in bytes', bytes);
  return { name, bytes };
}

function record(what: string, json: unknown): Record<string, unknown> {
  expect(isObject(json), what, 'an object', json);
  return json;
}

function isText(value: unknown, bytesMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && Buffer.byteLength(value) <= bytesMax;
}

function isNatural(value: unknown, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

function expect(ok: boolean, what: string, expected: string, got: unknown): asserts ok {
  if (ok) return;
  const text = `${what}: expected ${expected}, got ${shown(got)}`;
  throw new CurlingError('CURLING_REPLICATION_FRAME', text);
}
