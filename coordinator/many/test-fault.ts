/**
 * For tests alone: breaks the thread of one machine. Nothing is looked at unless the process was started with
 * CURLING_TEST_FAULTS=FOLDER; there a file with a machine's name holds the name of a fault, and is removed when that comes
 * about, within a second.
 */
import fs from 'node:fs';
import path from 'node:path';

const FAULTS: Readonly<Record<string, () => void>> = {
  /** An error that nobody expects. */
  throw: () => {
    throw new Error('a test asked for this error');
  },
  /** The thread says nothing any more. */
  hang: () => {
    for (;;);
  },
  /** It needs more memory than there is for it. */
  heap: () => {
    for (const kept: unknown[] = []; ; ) kept.push(new Array(2 ** 20).fill(kept));
  },
};

/** Whether the environment asks for faults. */
export function hasTestFaults(environment: NodeJS.ProcessEnv = process.env): boolean {
  return (environment.CURLING_TEST_FAULTS ?? '') !== '';
}

/** Breaks this thread when that is asked for. @throws Error the fault, or that there is no such one */
export function testFault(vm: string, environment: NodeJS.ProcessEnv = process.env): void {
  if (!hasTestFaults(environment)) return;
  const file = path.join(environment.CURLING_TEST_FAULTS!, vm);
  if (!fs.existsSync(file)) return;
  const name = fs.readFileSync(file, 'utf8').trim();
  fs.rmSync(file, { force: true });
  const fault = FAULTS[name];
  if (!fault) throw new Error(`${file}: expected ${Object.keys(FAULTS).join(', ')}, got ${name}`);
  fault();
}
