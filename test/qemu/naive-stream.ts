/**
 * Writes what QEMU would send, the plainest way: the oracle for the decoder. One description in, the bytes and the
 * expected trace out.
 */
import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';

export interface NaivePage {
  block: number;
  page: number;
  fill: number;
  /** Whether it is sent with 4096 bytes: a page of data, or one of a single byte. */
  data: boolean;
}

export interface NaiveStream {
  machine: string;
  /** Capabilities in the configuration; none leaves the subsection out. */
  capabilities: string[];
  uuid: boolean;
  sectionId: number;
  blocks: { name: string; pages: number }[];
  /** Pages of the first pass, section by section: the first in START, the last in END. */
  firstPass: NaivePage[][];
  device: Buffer;
  description: string;
  checkpoints: { pages: NaivePage[]; device: Buffer }[];
}

/** One line for each event and page, so that traces can be compared. */
export type Trace = string[];

export function u8(value: number): Buffer {
  return Buffer.from([value]);
}

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export function u32(value: number): Buffer {
  return Buffer.concat([u16(Math.floor(value / 65_536)), u16(value % 65_536)]);
}

export function u64(value: number): Buffer {
  return Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)]);
}

export function ident(text: string): Buffer {
  return Buffer.concat([u8(text.length), Buffer.from(text)]);
}

export const UUID_SUBSECTION = Buffer.concat([
  u8(5),
  ident('configuration/uuid'),
  u32(1),
  Buffer.alloc(16, 0xab),
]);

/** The content of a data page: told apart by block, number and fill. */
function content({ block, page, fill }: NaivePage): Buffer {
  const bytes = Buffer.alloc(PAGE_BYTES, fill);
  bytes.writeUInt32BE(block * 1000 + page, 0);
  bytes.writeUInt32BE(page + 7, PAGE_BYTES - 4);
  return bytes;
}

/** What QEMU sends without being answered, piece by piece: it waits for an answer after each. */
export function naivePhases(stream: NaiveStream): Buffer[] {
  let block = -1;
  const records = (pages: NaivePage[]) =>
    Buffer.concat([
      ...pages.map(page => {
        const same = page.block === block;
        block = page.block;
        const flags = (page.data ? 0x08 : 0x02) + (same ? 0x20 : 0);
        return Buffer.concat([
          u64(page.page * PAGE_BYTES + flags),
          same ? Buffer.alloc(0) : ident(stream.blocks[block]!.name),
          page.data ? content(page) : u8(page.fill),
        ]);
      }),
      u64(0x200),
      u64(0x10),
    ]);
  const { sectionId } = stream;
  const footer = Buffer.concat([u8(0x7e), u32(sectionId)]);
  const section = (type: number, pages: NaivePage[]) =>
    Buffer.concat([u8(type), u32(sectionId), records(pages), footer]);
  const [first = [], ...rest] = stream.firstPass;
  const last = rest.pop() ?? [];
  const firstPhase = Buffer.concat([
    head(stream),
    records(first),
    footer,
    ...rest.map(pages => section(2, pages)),
    section(3, last),
    stream.device,
    Buffer.concat([u8(6), u32(stream.description.length), Buffer.from(stream.description)]),
  ]);
  const phases: Buffer[] = [firstPhase];
  for (const { pages, device } of stream.checkpoints) {
    phases.push(u32(1));
    const command = Buffer.concat([u8(8), u16(11), u16(3), Buffer.from('abc')]);
    const size = Buffer.concat([u32(4), u64(device.length)]);
    phases.push(Buffer.concat([u32(3), command, section(3, pages), u8(0), size, device]));
  }
  return phases;
}

function head(stream: NaiveStream): Buffer {
  const withAddress = stream.capabilities.includes('x-ignore-shared');
  const totalPages = stream.blocks.reduce((sum, block) => sum + block.pages, 0);
  return Buffer.concat([
    Buffer.from('QEVM'),
    u32(3),
    u8(7),
    u32(stream.machine.length),
    Buffer.from(stream.machine),
    ...(stream.capabilities.length === 0
      ? []
      : [u8(5), ident('configuration/capabilities'), u32(1), u32(stream.capabilities.length)]),
    ...stream.capabilities.map(name => ident(name)),
    stream.uuid ? UUID_SUBSECTION : Buffer.alloc(0),
    Buffer.concat([u8(8), u16(8), u16(0)]),
    Buffer.concat([u8(1), u32(stream.sectionId), ident('ram'), u32(0), u32(4)]),
    u64(totalPages * PAGE_BYTES + 4),
    ...stream.blocks.map(block =>
      Buffer.concat([
        ident(block.name),
        u64(block.pages * PAGE_BYTES),
        withAddress ? u64(0xf000) : Buffer.alloc(0),
      ]),
    ),
  ]);
}

/** What the decoder must tell. */
export function naiveTrace(stream: NaiveStream): Trace {
  const pages = (list: NaivePage[]) =>
    list.map(page =>
      page.data
        ? dataLine(page.block, page.page, content(page))
        : fillLine(page.block, page.page, page.fill),
    );
  const blocks = stream.blocks.map(block => `${block.name}:${block.pages * PAGE_BYTES}`);
  const sizes = stream.blocks.map(block => block.pages);
  const main = sizes.indexOf(Math.max(...sizes));
  const uuid = stream.uuid ? UUID_SUBSECTION.toString('hex') : '';
  return [
    `layout ${stream.machine} ${stream.sectionId} ${uuid} ${blocks} ${main}`,
    ...stream.firstPass.flatMap(pages),
    `firstPass ${stream.device.toString('hex')}`,
    ...stream.checkpoints.flatMap(checkpoint => [
      'request',
      'stopped',
      ...pages(checkpoint.pages),
      `checkpoint ${checkpoint.device.toString('hex')}`,
    ]),
  ];
}

export function dataLine(block: number, page: number, bytes: Buffer): string {
  return `data ${block} ${page} ${createHash('md5').update(bytes).digest('hex')}`;
}

export function fillLine(block: number, page: number, fill: number): string {
  return `fill ${block} ${page} ${fill}`;
}
