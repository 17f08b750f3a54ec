/**
 * Some cells of the fault matrix with real processes; each commit tries others. All of them: npm run test:faults.
 */
import test from 'ava';
import { seedOfCommit } from '../effort.ts';
import { UNFIT } from '../system/scenario.ts';
import { cellsFor } from './choice.ts';
import { runMatrix } from './matrix.ts';
import { lineOf } from './report.ts';

/** Shared processors: a silence of 300 ms does not mean that a host is dead. */
const DETECTION_MS = 1_500;

(UNFIT ? test.skip : test)(
  'after a fault at a point of the protocol the guest goes on where the table says (needs root, qemu)',
  async t => {
    t.timeout(480_000);
    const seed = seedOfCommit();
    const cells = cellsFor(seed);
    const results = await runMatrix(cells, {
      detectionMs: DETECTION_MS,
      logs: 'build/faults/logs',
      onResult: (result, index) => t.log(lineOf(result, index, cells.length)),
    });
    const failed = results.filter(({ ok }) => !ok);
    t.deepEqual(failed, [], `cells of seed ${seed}; their logs are in build/faults/logs`);
    t.is(results.length, cells.length);
  },
);
