/** Runs cells one after the other, in one lab as long as it is good. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verdict } from '../../lab/observer/oracle.ts';
import { type CellName, type CellResult, runCell } from './cell.ts';
import { expected } from './expected.ts';
import { Field, type FieldOptions } from './field.ts';

/** The observer reads everything since a field began after each cell, and the guest's memory of what it said is bounded. */
const CELLS_PER_FIELD = 25;
/** A cell that takes longer hangs. */
const CELL_MS_MAX = 120_000;

export interface MatrixOptions extends FieldOptions {
  /** Where the logs of cells that failed go, in a folder each. */
  logs: string;
  onResult(result: CellResult, index: number): void;
}

/** Runs `cells`. Never throws for what a cell does; a lab that cannot be built is an error. */
export async function runMatrix(
  cells: readonly CellName[],
  options: MatrixOptions,
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  let field: Field | undefined;
  let verdict: Verdict | undefined;
  let used = 0;
  try {
    for (const [index, cell] of cells.entries()) {
      if (!field || !verdict) {
        // Once more: a machine that is busy for a moment must not end a run of hours.
        field = await Field.create(options).catch(() => Field.create(options));
        verdict = await field.traffic.check();
        used = 0;
      }
      const run = await withinTime(runCell(field, cell, verdict), cell);
      results.push(run.result);
      options.onResult(run.result, index);
      if (!run.result.ok) field.keepLogs(`${options.logs}/${cell.point}-${cell.fault}`);
      verdict = run.verdict;
      if (++used < CELLS_PER_FIELD && run.result.ok && run.result.outcome !== 'stopped') continue;
      await field.destroy();
      field = undefined;
    }
  } finally {
    await field?.destroy();
  }
  return results;
}

type Run = Awaited<ReturnType<typeof runCell>>;

/** A cell that hangs is a result, too; what it still does ends with its lab. */
async function withinTime(run: Promise<Run>, cell: CellName): Promise<Run> {
  const timer = new AbortController();
  const late = sleep(CELL_MS_MAX, undefined, { signal: timer.signal }).then((): Run => {
    const offences = { repeated: 0, contradicted: 0, uncommitted: 0, lost: 0 };
    const notes = [`hangs: no end within ${CELL_MS_MAX} ms`];
    const facts = {
      expected: expected(cell.point, cell.fault).outcome,
      outcome: null,
      ok: false,
      gapMs: null,
    };
    const result = { ...cell, ...facts, offences, durationMs: CELL_MS_MAX, notes };
    return { result, verdict: undefined as unknown as Verdict };
  });
  try {
    return await Promise.race([run, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}
