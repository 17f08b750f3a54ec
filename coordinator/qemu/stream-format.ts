/**
 * The numbers of QEMU's migration stream and of COLO's messages, and nothing else. Big-endian throughout. From QEMU's
 * migration/savevm.h, migration/ram.c and qapi/migration.json; the layout is drawn in stream-decoder.ts.
 */
import { CurlingError } from '../../common/errors.ts';

/** "QEVM". */
export const FILE_MAGIC = 0x5145_564d;
export const FILE_VERSION = 3;

/** The byte that begins each part of the stream. */
export const PART = {
  end: 0x00,
  sectionStart: 0x01,
  sectionPart: 0x02,
  sectionEnd: 0x03,
  sectionFull: 0x04,
  subsection: 0x05,
  description: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** Flags in the low 12 bits of a record's header in the `ram` section. */
export const RAM_FLAG = {
  zero: 0x02,
  memSize: 0x04,
  page: 0x08,
  endOfSection: 0x10,
  continue: 0x20,
  xbzrle: 0x40,
  multifdFlush: 0x200,
} as const;

/** COLO's messages, u32 codes on the same socket, in both directions. */
export const COLO = {
  ready: 0,
  request: 1,
  reply: 2,
  send: 3,
  size: 4,
  received: 5,
  loaded: 6,
} as const;

/** The section that carries guest memory. */
export const RAM_SECTION_NAME = 'ram';
/** The capability under which shared RAM is not sent, and block lists carry guest addresses. */
export const IGNORE_SHARED = 'x-ignore-shared';
export const CAPABILITIES_SUBSECTION = 'configuration/capabilities';

/** The error for bytes of the stream that are not what they must be. `at` counts bytes from the stream's start. */
export function streamError(expected: string, got: string, at: number): CurlingError {
  const text = `QEMU's migration stream at byte ${at}: expected ${expected}, got ${got}`;
  return new CurlingError('CURLING_QEMU_STREAM', text);
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
