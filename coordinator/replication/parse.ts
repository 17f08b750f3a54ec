/** Payloads to values. Everything is checked; what is wrong is CURLING_REPLICATION_FRAME. */
import { CurlingError, ERROR_CODES, type ErrorCode, messageOf } from '../../common/errors.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { shown } from '../../common/shown.ts';
import type { GuestLayout } from '../checkpoint/layout.ts';
import { PAGE_BYTES } from '../checkpoint/layout.ts';
import { layoutFromJson } from '../checkpoint/layout-json.ts';
import { ENTRY_BYTES } from '../checkpoint/page-chunk.ts';
import { type Frame, frameError, safeInteger } from './decode.ts';
import type { Rope } from './rope.ts';
import {
  type Beat,
  type CommitRecord,
  DEVICE_PREFIX_BYTES,
  type Hello,
  PAGES_PREFIX_BYTES,
  PC_RAM,
  type StandbyWord,
  type Welcome,
} from './types.ts';

/**
 * PAGES: entries as page-chunk.ts has them, in one buffer; the data of all entries of kind `data`.
 */
export interface PagesRecord {
  count: number;
  dataPages: number;
  entries: Buffer;
  data: Rope;
  /** Gives the memory of entries and data back; they must not be used afterwards. */
  release(): void;
}

/** DEVICE: one piece of the device state. */
export interface DevicePiece {
  offset: number;
  total: number;
  data: Rope;
}

/** Splits a PAGES payload; the counts must account for every byte of it. */
export function parsePages(frame: Frame): PagesRecord {
  const cursor = frame.payload.cursor();
  const prefix = cursor.takeFlat(PAGES_PREFIX_BYTES);
  const count = prefix.readUInt32BE(0);
  const dataPages = prefix.readUInt32BE(4);
  const claimed = count * ENTRY_BYTES + dataPages * PAGE_BYTES;
  if (count === 0 || dataPages > count || claimed !== cursor.left) {
    const claim = `${count} entries with ${dataPages} pages of data`;
    throw frameError(`pages: ${claim} do not fill ${cursor.left} bytes`);
  }
  const entries = cursor.takeFlat(count * ENTRY_BYTES);
  const data = cursor.rest();
  const release = () => {
    // Emptied, so that it shows when somebody comes too late.
    if (frame.payload.leased) data.clear();
    frame.payload.release();
  };
  return { count, dataPages, entries, data, release };
}

export function parseDevice(frame: Frame): DevicePiece {
  const cursor = frame.payload.cursor();
  const prefix = cursor.takeFlat(DEVICE_PREFIX_BYTES);
  const piece = { offset: prefix.readUInt32BE(0), total: prefix.readUInt32BE(4) };
  if (piece.offset + cursor.left > piece.total) {
    const came = `${cursor.left} bytes at ${piece.offset}`;
    throw frameError(`device state: ${came} of ${piece.total}`);
  }
  return { ...piece, data: cursor.rest() };
}

export function parseCommit(frame: Frame): CommitRecord {
  const payload = frame.payload.flat();
  return {
    messages: payload.readUInt32BE(0),
    pages: payload.readUInt32BE(4),
    payloadBytes: safeInteger('payload bytes', payload.readBigUInt64BE(8)),
    digest: payload.readBigUInt64BE(16),
  };
}

export function parseBeat(frame: Frame): Beat {
  const payload = frame.payload.flat();
  return {
    stampUs: safeInteger('stamp', payload.readBigUInt64BE(0)),
    echoUs: safeInteger('echo', payload.readBigUInt64BE(8)),
    heldUs: payload.readUInt32BE(16),
  };
}

export function parseHello(frame: Frame): Hello {
  const { vm, host, protocol, guest, mainBlock = PC_RAM, mainBytes } = parseObject('hello', frame);
  return {
    vm: nameOf('vm', vm),
    host: nameOf('host', host),
    protocol: naturalOf('protocol', protocol),
    generation: frame.generation,
    epoch: frame.epoch,
    guest,
    mainBlock: blockNameOf(mainBlock),
    mainBytes: naturalOf('mainBytes', mainBytes),
    sender: frame.sender,
  };
}

export function parseWelcome(frame: Frame): Welcome {
  const fields = parseObject('welcome', frame);
  return {
    host: nameOf('host', fields.host),
    stagedBytesMax: naturalOf('stagedBytesMax', fields.stagedBytesMax),
    ...(fields.committed === undefined
      ? {}
      : {
          committed: naturalOf('committed', fields.committed),
          generation: naturalOf('generation', fields.generation),
        }),
    ...(fields.packing === undefined ? {} : { packing: naturalOf('packing', fields.packing) }),
    receiver: frame.receiver,
  };
}

/**
 * What the peer refuses with. A code that this version does not know becomes
 * CURLING_REPLICATION_REFUSED.
 */
export function parseRefuse(frame: Frame): CurlingError {
  const { code, desc } = parseObject('refuse', frame);
  const known = typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
  return new CurlingError(
    known ? (code as ErrorCode) : 'CURLING_REPLICATION_REFUSED',
    `refused by the other host: ${textOf(desc)}${known ? '' : ` (${textOf(code)})`}`,
  );
}

export function parseFullBegin(frame: Frame): GuestLayout {
  return layoutFromJson(parseObject('full copy', frame));
}

/** The `reason` of BYE and GUEST_LOST, at most 1000 characters. */
export function parseReason(frame: Frame): string {
  return textOf(parseObject('reason', frame).reason);
}

export function parseStandby(frame: Frame): StandbyWord {
  const { up, reason } = parseObject('standby', frame);
  if (typeof up !== 'boolean')
    throw frameError(`standby: expected "up" as true or false, got ${shown(up)}`);
  return { up, reason: textOf(reason) };
}

function parseObject(what: string, frame: Frame): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(frame.payload.flat().toString('utf8'));
  } catch (error) {
    throw frameError(`${what}: expected JSON: ${messageOf(error)}`, error);
  }
  if (isObject(value)) return value;
  throw frameError(`${what}: expected a JSON object`);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 1000) : 'no text';
}

function nameOf(what: string, value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(value)) return value;
  throw frameError(`${what}: expected 1 to 64 characters of A-Z a-z 0-9 _ . -`);
}

/** As layoutFromJson has them: QEMU's names hold more than ours. */
function blockNameOf(value: unknown): string {
  const isName = typeof value === 'string' && value.length > 0 && Buffer.byteLength(value) <= 255;
  if (isName) return value;
  throw frameError(`mainBlock: expected a name of at most 255 bytes, got ${shown(value)}`);
}

function naturalOf(what: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw frameError(`${what}: expected a whole number, got ${shown(value)}`);
}
