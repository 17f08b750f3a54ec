/** How long the test files of a run took: collected from their processes, and the slowest in lines to print. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

/** Names the file to which the process of a test file adds its FileTime (timing.ts). */
export const TIMES_VARIABLE = 'CURLING_TEST_TIMES';

/** What one test file took. */
export interface FileTime {
  /** Absolute. */
  path: string;
  /** The version of the Node that ran it, as `process.version` has it. */
  node: string;
  /** From the start of its process to its end. */
  wallMs: number;
  /** Processor time, user and system: of its process and of those that it started and saw end. */
  cpuMs: number;
}

/** Of the files whose processes are started while it is there. */
export class FileTimes {
  readonly #folder = mkdtempSync(join(tmpdir(), 'curling-times-'));
  readonly #path = join(this.#folder, 'times');

  /** Adds the variable to the environment of this process, and so of those to come. */
  constructor() {
    process.env[TIMES_VARIABLE] = this.#path;
  }

  /** What was collected. Ends the collecting and removes its file. */
  take(): FileTime[] {
    delete process.env[TIMES_VARIABLE];
    try {
      return readTimes(readFileSync(this.#path, 'utf8'));
    } catch {
      return []; // No test file came to its end.
    } finally {
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }
}

/** One FileTime of every line; a line that was cut off by the end of its process is left out. */
export function readTimes(text: string): FileTime[] {
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as FileTime];
    } catch {
      return [];
    }
  });
}

/** A line for each of the `count` files that took longest, longest first. */
export function slowest(times: readonly FileTime[], count: number, repository: string): string[] {
  return times
    .toSorted((left, right) => right.wallMs - left.wallMs)
    .slice(0, count)
    .map(({ path, node, wallMs, cpuMs }) => {
      const [wall, cpu] = [wallMs, cpuMs].map(ms => (ms / 1000).toFixed(1).padStart(6));
      return `${wall} s, ${cpu} s of processors: ${relative(repository, path)} (Node ${node.slice(1)})`;
    });
}
