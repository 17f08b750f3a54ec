import test from 'ava';
import { MUTANTS, type Mutant } from '../arbitration/sim/mutants.ts';
import type { Mutation } from '../arbitration/sim/mutation.ts';
import { BRIEF } from '../effort.ts';
import { expectedCells } from '../faults/expected.ts';
import { judgeCell } from './cell.ts';
import { runStuckPair } from './directed.ts';
import { type Findings, runOne } from './explore.ts';
import { exploreAll } from './pool.ts';
import { Simulation } from './simulation.ts';
import { SOMETIMES } from './sometimes.ts';

/** CURLING_SEED=n begins there; CURLING_SEEDS=n runs n numbers, and half as many pairs. */
const FIRST = Number(process.env.CURLING_SEED ?? 1);
const SEEDS = Number(process.env.CURLING_SEEDS ?? 100_000) / (BRIEF ? 50 : 1);
const MUTANT_SEEDS = 4_000;
/** It runs in the background of the other tests. */
const LONG_MS = 2_700_000;

function failureText({ failure }: Findings, option: string): string {
  if (!failure) return '';
  return `${failure.message}; node build/test/sim/replay.js --seed ${failure.seed}${option}`;
}

test('each fault at each point ends where the table says', async t => {
  t.timeout(LONG_MS);
  const cells = expectedCells();
  const count = BRIEF ? Math.ceil(cells.length / 50) : cells.length;
  const found = await exploreAll({ kind: 'cell', first: 0, count });
  t.is(failureText(found, ''), '');
  t.is(found.counts.get('cells'), count);
  if (BRIEF) return;
  for (const { point, fault } of cells) t.true(found.counts.has(`${point}, ${fault}`));
});

test('no run with any faults breaks an invariant, and service comes back', async t => {
  t.timeout(LONG_MS);
  const found = await exploreAll({ kind: 'seed', first: FIRST, count: SEEDS });
  t.is(failureText(found, ''), '');
  t.log(`${found.runs} runs`);
  if (BRIEF || SEEDS < 10_000) return;
  for (const what of SOMETIMES) t.true(found.counts.has(what), `never happened: ${what}`);
});

test('nor does a pair of faults', async t => {
  t.timeout(LONG_MS);
  const found = await exploreAll({ kind: 'pair', first: FIRST, count: SEEDS / 2 });
  t.is(failureText(found, ' --pair'), '');
  t.log(`${found.runs} pairs`);
});

test('a number gives the same run again, byte for byte', t => {
  for (const seed of [7, 4711]) {
    const traces = [1, 2].map(() => runOne({ kind: 'seed', seed, trace: true }).trace.join('\n'));
    t.true(traces[0]!.length > 1_000);
    t.is(traces[0], traces[1]);
  }
});

// The tracing run gives every step of a reducer twice and compares.
test('a step of the arbitration gives the same state again', t => {
  for (let seed = 1; seed <= 50; seed++) runOne({ kind: 'seed', seed, trace: true });
  t.pass();
});

test('a standby that died after its guest ran is not resumed again', t => {
  const sim = new Simulation({ seed: 1 });
  t.is(judgeCell(sim, 'F7-running', 'kill-backup-standby').outcome, 'stopped');
  t.notThrows(() => runOne({ kind: 'seed', seed: 697 }));
});

/**
 * These stand behind another rule here: the wire names both incarnations in every message, so an acknowledgement of
 * somebody else never arrives, and a life that is over asks for nothing; no host has the policy hold here; and no takeover is asked for twice at once.
 * test/arbitration catches them, without the wire.
 */
const COVERED: readonly Mutant[] = [
  'counts the acks of any incarnation',
  'grants go to the host, not to its incarnation',
  "ignores the backup's incarnation",
  'answers as the backup that it was before it lost its state',
  'lets a swap of any generation pass',
  'opens under policy hold',
  'lets go of what was held when the copy is taken',
];
const STUCK = 'forgets in a restart that it asked for a pair';

for (const mutant of Object.keys(MUTANTS) as Mutant[]) {
  if (COVERED.includes(mutant) || mutant === STUCK) continue;
  test(`a build that ${mutant} is caught`, async t => {
    t.timeout(LONG_MS);
    const { failure } = await exploreAll({ kind: 'seed', first: 1, count: MUTANT_SEEDS, mutant });
    t.regex(failure?.message ?? 'no number broke it', /^(I\d+|L1):/);
    t.log(`seed ${failure?.seed}: ${failure?.message}`);
  });
}

test(`a build that ${STUCK} is caught`, t => {
  const run = (mutation?: Mutation) => {
    for (let seed = 1; seed <= 100; seed++) runStuckPair(seed, mutation);
  };
  t.notThrows(() => run());
  t.throws(() => run(MUTANTS[STUCK]), { message: /^(I\d+|L1):/ });
});
