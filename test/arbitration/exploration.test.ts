import test from 'ava';
import { explore, failureText } from './sim/explore.ts';
import { MUTANTS, type Mutant } from './sim/mutants.ts';
import { Simulation } from './sim/simulation.ts';
import { rowText, TRANSITIONS } from './sim/transitions.ts';

/** CURLING_SEED=n runs that seed first; CURLING_SEEDS=n runs n of them. */
const FIRST = Number(process.env.CURLING_SEED ?? 1);
const COUNT = Number(process.env.CURLING_SEEDS ?? 20_000);

/** Of a network that repeats: a full copy still arrives when the host that it was for has died. */
const REPEATS = 0.8;
const CAUGHT_BY_REPEATS: readonly string[] = [
  'grants go to the host, not to its incarnation',
  "ignores the backup's incarnation",
  'answers as the backup that it was before it lost its state',
];

/** What a search must have seen to mean anything. */
const SOMETIMES = [
  ...TRANSITIONS.map(rowText),
  ...['held SOLO', 'held SYNC', 'held SRES', 'held SRES → PROT', 'held SOLO → SOLO'],
  ...['race won: solo-by-primary', 'race won: solo-by-backup', 'double failover'],
  ...['refused pair', 'refused solo-by-primary', 'refused solo-by-backup'],
  ...['crash', 'resumed from a checkpoint', 'restarted in PROT', 'restarted in SRES'],
  ...['restarted in PRES', 'restarted in SYNC', 'restarted in SOLO', 'restarted in BACK'],
];

test('no run of hosts, witness and a bad network breaks an invariant', t => {
  const { failure, reached } = explore(FIRST, COUNT);
  if (failure) return t.fail(failureText(failure));
  const moves = [...reached.keys()].filter(what => / \+ /.test(what));
  const rows = TRANSITIONS.map(rowText);
  t.deepEqual(
    moves.filter(move => !rows.includes(move)),
    [],
    'moves that no table has',
  );
  for (const what of SOMETIMES) t.true((reached.get(what) ?? 0) > 0, `never happened: ${what}`);
});

test('nor on a network that delivers nearly everything again and again', t => {
  const { failure } = explore(FIRST, COUNT / 2, { repeatRate: REPEATS });
  t.is(failure ? failureText(failure) : '', '');
});

test('nor when messages reach an incarnation that they were not addressed to', t => {
  const { failure } = explore(FIRST, COUNT / 2, { addressed: false });
  t.is(failure ? failureText(failure) : '', '');
});

test('a seed gives the same run again', t => {
  const traces = [1, 2].map(() => {
    const simulation = new Simulation({ seed: 4711, trace: true });
    simulation.run();
    return simulation.trace;
  });
  t.true((traces[0]?.length ?? 0) > 50);
  t.deepEqual(traces[0], traces[1]);
});

for (const [name, mutation] of Object.entries(MUTANTS)) {
  // Some rules stand behind another that covers for them: without the addresses of messages they
  // stand alone.
  test(`a build that ${name} is caught`, t => {
    const repeatRate = CAUGHT_BY_REPEATS.includes(name) ? REPEATS : 0.1;
    const { failure } = explore(1, 20_000, { mutation, addressed: false, repeatRate });
    t.regex(failure?.error.message ?? 'no seed broke it', /^(I\d+|L1):/);
  });
}

const VISIBLE: Mutant[] = [
  'releases before the ack',
  'acks before the commit',
  'promotes without a grant',
  'goes solo without a grant',
  'keeps emitting during re-protection',
  'emits the last committed epoch again',
  'gives up after it asked for the pair',
  'forgets in a restart that it asked for a pair',
];

for (const name of VISIBLE) {
  test(`the outside can see that a build ${name}`, t => {
    const { failure } = explore(1, 20_000, { mutation: MUTANTS[name], judge: 'outside' });
    t.regex(failure?.error.message ?? '', /^I[345]:/);
  });
}
