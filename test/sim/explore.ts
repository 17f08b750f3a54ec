/** From a number to a scenario, and from a range of numbers to what was found. */
import type { Mutation } from '../arbitration/sim/mutation.ts';
import { Random } from '../arbitration/sim/random.ts';
import { POINTS } from '../faults/points.ts';
import { FAULTS } from './faults.ts';
import { TIMES } from './life.ts';
import { type PlannedStrike, runScenario, type Scenario } from './scenario.ts';
import { Simulation, type SimulationOptions } from './simulation.ts';
import { STRIKE_TIMES } from './strike.ts';

export type Kind = 'seed' | 'pair';

export interface RunOptions {
  kind: Kind;
  seed: number;
  trace?: boolean;
  mutation?: Mutation;
  rules?: boolean;
}

/** The longest time until everything is healed. */
const HEAL_MS = 900;
const PAIR_HEAL_MS = 1_500;

/** Runs one scenario. @throws Violation; `options.onSimulation` sees the simulation before. */
export function runOne(options: RunOptions, onSimulation?: (sim: Simulation) => void): Simulation {
  const { kind, seed, trace = false, mutation, rules = true } = options;
  const random = new Random(seed ^ (kind === 'pair' ? 0x5bd1e995 : 0));
  const shape = kind === 'pair' ? pairShape(random) : seedShape(random);
  const sim = new Simulation({
    seed,
    trace,
    rules,
    ...shape.simulation,
    ...(mutation ? { mutation } : {}),
  });
  onSimulation?.(sim);
  runScenario(sim, shape.scenario);
  sim.reachedBy('a frame came to a connection that was over', sim.network.late);
  return sim;
}

interface Shape {
  simulation: Pick<SimulationOptions, 'hosts' | 'network'>;
  scenario: Scenario;
}

/** Any faults at any times, on a network of any quality. */
function seedShape(random: Random): Shape {
  const healAtMs = 250 + random.below(HEAL_MS - 250);
  const count = 1 + random.below(3);
  const strikes: PlannedStrike[] = [];
  for (let index = 0; index < count; index++) {
    const timed = random.chance(0.3);
    strikes.push({
      fault: random.pick(FAULTS),
      ...(timed ? {} : { point: random.pick(POINTS) }),
      occurrence: 1 + random.below(3),
      atMs: random.below(healAtMs),
      times: {
        shortMs: random.below(TIMES.silenceMs),
        longMs: TIMES.silenceMs * (0.5 + 4 * random.next()),
        downMs: TIMES.silenceMs * 4 * random.next(),
      },
    });
  }
  const network = {
    jitterMs: random.pick([0.3, 0.3, 2, 20]),
    lossRate: random.pick([0, 0, 0, 0.01]),
    duplicateRate: random.pick([0, 0.2]),
  };
  const takeOverAtMs = random.chance(0.3) ? 80 + random.below(healAtMs) : -1;
  const hosts = random.chance(0.2) ? 3 : 2;
  return { simulation: { hosts, network }, scenario: { strikes, healAtMs, takeOverAtMs } };
}

/** One cell, and another one after it. */
function pairShape(random: Random): Shape {
  const strikes = [0, 1].map(() => ({
    fault: random.pick(FAULTS),
    point: random.pick(POINTS),
    occurrence: 1,
    atMs: 0,
    times: STRIKE_TIMES,
  }));
  const takeOverAtMs = strikes[0]!.point.startsWith('F') ? 120 : -1;
  // Both faults are over by then, had they come in time.
  const healAtMs = random.pick([300, 700, PAIR_HEAL_MS]);
  return { simulation: {}, scenario: { strikes, healAtMs, takeOverAtMs } };
}

export interface Failure {
  kind: Kind;
  seed: number;
  message: string;
}

export interface Findings {
  runs: number;
  counts: Map<string, number>;
  failure: Failure | null;
}

/** Runs `count` numbers from `first` on, until one fails. */
export function explore(
  kind: Kind,
  first: number,
  count: number,
  options: { mutation?: Mutation; rules?: boolean } = {},
): Findings {
  const counts = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    try {
      const sim = runOne({ kind, seed, ...options });
      addCounts(counts, sim.counts);
    } catch (error) {
      const failure = { kind, seed, message: (error as Error).message };
      return { runs: seed - first + 1, counts, failure };
    }
  }
  return { runs: count, counts, failure: null };
}

export function addCounts(sum: Map<string, number>, counts: Iterable<[string, number]>): void {
  for (const [what, times] of counts) sum.set(what, (sum.get(what) ?? 0) + times);
}
