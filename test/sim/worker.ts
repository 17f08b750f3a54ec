/** A thread that explores: takes tasks, answers with what it found. */
import { parentPort } from 'node:worker_threads';
import { MUTANTS, type Mutant } from '../arbitration/sim/mutants.ts';
import { expectedCells } from '../faults/expected.ts';
import { runCell } from './cell.ts';
import { addCounts, explore, type Findings, type Kind } from './explore.ts';

export interface Task {
  kind: Kind | 'cell';
  first: number;
  count: number;
  /** The name of a sabotaged build. */
  mutant?: string;
}

export interface Found extends Findings {
  task: Task;
}

// Errors of the protocol are made by the million, and nobody reads where.
Error.stackTraceLimit = 0;

parentPort?.on('message', (task: Task) => {
  const { kind, first, count, mutant } = task;
  const mutation = mutant === undefined ? {} : { mutation: MUTANTS[mutant as Mutant] };
  const found =
    kind === 'cell' ? exploreCells(first, count) : explore(kind, first, count, mutation);
  parentPort?.postMessage({ ...found, task } satisfies Found);
});

/** The cells `first`, `first` + 1, … of the table, each with its number as the seed. */
function exploreCells(first: number, count: number): Findings {
  const counts = new Map<string, number>();
  for (const [index, { point, fault }] of expectedCells()
    .slice(first, first + count)
    .entries()) {
    const seed = first + index;
    try {
      const { outcome, sim } = runCell({ point, fault, seed });
      addCounts(counts, [
        ['cells', 1],
        [`outcome ${outcome}`, 1],
        [`${point}, ${fault}`, 1],
      ]);
      addCounts(counts, sim.counts);
    } catch (error) {
      const message = `--cell ${point},${fault}: ${(error as Error).message}`;
      return { runs: index + 1, counts, failure: { kind: 'seed', seed, message } };
    }
  }
  return { runs: count, counts, failure: null };
}
