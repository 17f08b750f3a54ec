/**
 * Key files: which hosts may speak, each with its pre-shared key.
 *
 *   HOST:64 hex digits          the format of GnuTLS's psktool and of QEMU's keys.psk
 *   # a comment
 *
 * Pure: text in, keys or a coded error out. No message quotes a key.
 */
import { CurlingError } from '../errors.ts';

/** A host's name, as in registers and on command lines. */
export const HOST_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
export const KEY_BYTES = 32;
/** Hosts that one file may name. */
export const KEYS_MAX = 1024;
const LINE = /^([^:]*):([0-9A-Fa-f]*)$/;

/** Keys by host, in the order of the file. */
export type Keys = Map<string, Buffer>;

/**
 * The keys that a file holds.
 * @param where The file's name, for messages.
 * @throws CurlingError CURLING_KEYS, naming the line, for anything that is not exactly as above.
 */
export function parseKeys(text: string, where: string): Keys {
  const keys = new Map<string, Buffer>();
  text.split('\n').forEach((whole, index) => {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) return;
    const fault = (what: string) =>
      new CurlingError('CURLING_KEYS', `${where}, line ${index + 1}: ${what}`);
    const match = LINE.exec(line);
    const host = match?.[1] ?? '';
    if (!match || !HOST_NAME.test(host)) throw fault('expected HOST:KEY');
    const hex = match[2]!;
    if (hex.length !== 2 * KEY_BYTES)
      throw fault(`expected ${2 * KEY_BYTES} hex digits for ${host}, got ${hex.length}`);
    if (keys.has(host)) throw fault(`${host} has a key already`);
    if (keys.size >= KEYS_MAX) throw fault(`more than ${KEYS_MAX} hosts`);
    keys.set(host, Buffer.from(hex, 'hex'));
  });
  return keys;
}

/** One line of a key file. */
export function keyLine(host: string, key: Buffer): string {
  return `${host}:${key.toString('hex')}\n`;
}
