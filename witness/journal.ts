/**
 * The lines of a witness's store. Pure: text in, entries out. Each line is one JSON object,
 * `{"sum":"<16 hex digits>","entry":…}`. The entry is
 *
 *   {"format":"curling-witness","version":1,"store":"<32 hex digits>"}     in the first line
 *   {"store":…,"vm":…,"generation":…,"mode":…,"primary":…,"backup":…}   in the others, or
 *   {"store":…,"vm":…,"generation":…,"mode":"FORGOTTEN"}
 *
 * `sum` is the beginning of SHA-256 over the sum of the line before (nothing for the first) and
 * this line's entry as it stands. So a line that was changed, removed, repeated or moved is found.
 * Only the end of the file may be unfinished: a line without its newline was being written when the
 * witness died. It was never answered, so it is cut off, or kept if nothing but the newline is
 * missing.
 */
import { createHash } from 'node:crypto';
import { CurlingError, messageOf } from '../common/errors.ts';
import { isObject } from '../common/qmp/messages.ts';
import { shown } from '../common/shown.ts';
import { type Entry, parseEntry } from '../coordinator/arbitration/register-entry.ts';
import { parseIdentity } from '../coordinator/arbitration/register-json.ts';

const FORMAT = 'curling-witness';
const VERSION = 1;
const LINE = /^\{"sum":"([0-9a-f]{16})","entry":(\{.*\})\}$/;

/** A store read back. */
export interface Journal {
  readonly store: string;
  readonly vms: Map<string, Entry>;
  /** The sum that the next line continues from. */
  readonly sum: string;
  /** Bytes that are good; what follows is cut off. */
  readonly bytes: number;
  /** Whether the last good line lacks its newline. */
  readonly newlineMissing: boolean;
  /** Lines after the first, superseded ones included. */
  readonly entries: number;
}

/** One line with its newline, and its sum. */
export interface Line {
  readonly text: string;
  readonly sum: string;
}

/** The first line of a store. */
export function headerLine(store: string): Line {
  return line('', { format: FORMAT, version: VERSION, store });
}

/** The line for what is known of a VM, after a line with the sum `after`. */
export function entryLine(after: string, entry: Entry): Line {
  return line(after, entry);
}

/**
 * Reads a whole store.
 * @throws CurlingError CURLING_WITNESS_EMPTY when it has no complete first line,
 *   CURLING_WITNESS_STORE when it is anything but a store, or damaged anywhere but at its
 *   unfinished end.
 */
export function readJournal(content: Buffer, path: string): Journal {
  const vms = new Map<string, Entry>();
  let store: string | undefined;
  let sum = '';
  let at = 0;
  let entries = 0;
  let newlineMissing = false;
  for (let number = 1; at < content.length; number++) {
    const newline = content.indexOf(10, at);
    const end = newline < 0 ? content.length : newline;
    const text = content.toString('utf8', at, end);
    const read = readLine(text, sum);
    if (read === null) {
      // A line cut short has no complete line in it; one whose newline was damaged has, and was
      // answered.
      const unfinished = newline < 0 && number > 1 && readLine(text.slice(0, -1), sum) === null;
      if (unfinished) break;
      throw damaged(path, number, 'its checksum does not fit');
    }
    try {
      const entry: unknown = JSON.parse(read.entry);
      if (store === undefined) store = parseHeader(entry);
      else takeEntry(vms, parseEntry(entry), store);
    } catch (error) {
      throw damaged(path, number, messageOf(error));
    }
    if (number > 1) entries++;
    sum = read.sum;
    at = newline < 0 ? end : newline + 1;
    newlineMissing = newline < 0;
  }
  if (store === undefined) throw emptyStore(path);
  return { store, vms, sum, bytes: at, newlineMissing, entries };
}

/** The error of a store that was never initialised, or was emptied. */
export function emptyStore(path: string): CurlingError {
  const text =
    `${path} is missing or empty. For a new witness: curling-witness init --store ${path}. ` +
    'If it had a store before, restore that one: ' +
    'a witness without its memory could let two hosts run';
  return new CurlingError('CURLING_WITNESS_EMPTY', text);
}

function line(after: string, entry: object): Line {
  const text = JSON.stringify(entry);
  const sum = sumOf(after, text);
  return { text: `{"sum":"${sum}","entry":${text}}\n`, sum };
}

function sumOf(after: string, entry: string): string {
  return createHash('sha256').update(after).update(entry).digest('hex').slice(0, 16);
}

function readLine(text: string, after: string): { sum: string; entry: string } | null {
  const match = LINE.exec(text);
  const [, sum = '', entry = ''] = match ?? [];
  if (!match || sumOf(after, entry) !== sum) return null;
  return { sum, entry };
}

function parseHeader(entry: unknown): string {
  if (!isObject(entry) || entry.format !== FORMAT) throw new Error('it is no store of a witness');
  if (entry.version !== VERSION)
    throw new Error(`version ${VERSION} was expected, it has ${shown(entry.version)}`);
  return parseIdentity('store', entry.store);
}

/**
 * A store that was compacted begins a VM at any generation; from there each generation follows the
 * last.
 */
function takeEntry(vms: Map<string, Entry>, entry: Entry, store: string): void {
  if (entry.store !== store) throw new Error(`it belongs to store ${entry.store}`);
  const last = vms.get(entry.vm)?.generation;
  if (last !== undefined && entry.generation !== last + 1)
    throw new Error(`generation ${entry.generation} of ${entry.vm} follows ${last}`);
  vms.set(entry.vm, entry);
}

function damaged(path: string, number: number, what: string): CurlingError {
  const text =
    `${path} is damaged in line ${number}: ${what}. Restore the file; ` +
    'it must not be edited or cut, because a forgotten grant could let two hosts run';
  return new CurlingError('CURLING_WITNESS_STORE', text);
}
