/**
 * Every lab records itself under /run/curling-lab/NAME, so that a later process can remove what a dead owner left.
 * The record exists before anything else of the lab and goes last.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { entriesOf, startTimeOf } from './processes.ts';

const STATE_DIRECTORY = '/run/curling-lab';
/** Every name of a lab, and everything that a lab makes, begins so. */
export const LAB_PREFIX = 'clab';
/** Holds the lab's name in the environment of everything that it runs. */
export const LAB_VARIABLE = 'CURLING_LAB';
const LAB_NAME = /^clab[0-9a-f]{6}$/;
/** An unfinished record this old has no owner any more. */
const UNFINISHED_MS_MAX = 60_000;

export interface LabRecord {
  name: string;
  hosts: string[];
  owner: { pid: number; startTime: number };
  /** Stays up when its owner ends; only end.js removes it. */
  keep: boolean;
}

/** An entry in the environment of everything that runs in a lab. */
export function labMark(name: string): string {
  return `${LAB_VARIABLE}=${name}`;
}

/** Whether `name` is a lab's, or of something that belongs to one (`clab1a2b3c-a`). */
export function labNameOf(name: string): string | undefined {
  const lab = name.split('-')[0] ?? '';
  return LAB_NAME.test(lab) ? lab : undefined;
}

/** The lab's directory: its record, and a run directory per node. */
export function labDirectory(name: string): string {
  return join(STATE_DIRECTORY, name);
}

/**
 * Claims a new name for this process. The record appears with its directory in one step, so that another process never
 * sees a lab without an owner.
 * @throws CurlingError CURLING_TOOL_FAILED when the state directory cannot be written
 */
export function createRecord(hosts: readonly string[], keep: boolean): LabRecord {
  const name = `${LAB_PREFIX}${randomBytes(3).toString('hex')}`;
  const owner = { pid: process.pid, startTime: startTimeOf(process.pid) };
  const record: LabRecord = { name, hosts: [...hosts], owner, keep };
  const unfinished = join(STATE_DIRECTORY, `.new-${name}`);
  try {
    mkdirSync(unfinished, { recursive: true, mode: 0o700 });
    writeFileSync(join(unfinished, 'lab.json'), JSON.stringify(record));
    renameSync(unfinished, labDirectory(name));
  } catch (error) {
    const text = `a lab needs to write ${STATE_DIRECTORY} (is this root?)`;
    throw new CurlingError('CURLING_TOOL_FAILED', text, { cause: error });
  }
  return record;
}

/** Replaces a lab's record. */
export function writeRecord(record: LabRecord): void {
  const path = join(labDirectory(record.name), 'lab.json');
  writeFileSync(`${path}.new`, JSON.stringify(record));
  renameSync(`${path}.new`, path);
}

/** A lab's record; undefined when there is none or it cannot be read. */
export function readRecord(name: string): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(labDirectory(name), 'lab.json'), 'utf8')) as LabRecord;
  } catch {
    return undefined;
  }
}

/** The names of all labs with a directory. */
export function recordedLabs(): string[] {
  return entriesOf(STATE_DIRECTORY).filter(name => LAB_NAME.test(name));
}

/** Whether the process that made the lab still runs. */
export function ownerAlive(record: LabRecord): boolean {
  const { pid, startTime } = record.owner;
  return startTime !== 0 && startTimeOf(pid) === startTime;
}

/** Removes the lab's directory. */
export function removeRecord(name: string): void {
  rmSync(labDirectory(name), { recursive: true, force: true });
}

/** Removes records that were never finished. */
export function removeUnfinishedRecords(): void {
  for (const name of entriesOf(STATE_DIRECTORY).filter(entry => entry.startsWith('.new-'))) {
    const path = join(STATE_DIRECTORY, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && Date.now() - stat.mtimeMs > UNFINISHED_MS_MAX)
      rmSync(path, { recursive: true, force: true });
  }
}
