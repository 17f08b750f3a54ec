/** Runs many seeds and reports the first that breaks, with its trace. */
import { Simulation, type SimulationOptions } from './simulation.ts';

export interface Exploration {
  seeds: number;
  /** How often each interesting thing happened, over all seeds. */
  reached: Map<string, number>;
  failure?: { seed: number; error: Error; trace: string[] };
}

/** Runs the seeds `first`, `first` + 1, … until one fails or `count` are done. */
export function explore(
  first: number,
  count: number,
  options: Omit<SimulationOptions, 'seed' | 'trace'> = {},
): Exploration {
  const reached = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    const simulation = new Simulation({ ...options, seed });
    try {
      simulation.run();
      settle(simulation, options);
    } catch {
      return { seeds: seed - first + 1, reached, failure: replay({ ...options, seed }) };
    }
    for (const [what, times] of simulation.reached)
      reached.set(what, (reached.get(what) ?? 0) + times);
  }
  return { seeds: count, reached };
}

/** Runs one seed again, writing down every step. */
export function replay(options: SimulationOptions): NonNullable<Exploration['failure']> {
  const simulation = new Simulation({ ...options, trace: true });
  try {
    simulation.run();
    settle(simulation, options);
  } catch (error) {
    return { seed: options.seed, error: error as Error, trace: simulation.trace };
  }
  throw new Error(`seed ${options.seed} does not fail again`);
}

/** That it comes to an end is a rule of its own; the outside cannot tell it from a slow host. */
function settle(simulation: Simulation, { judge }: Pick<SimulationOptions, 'judge'>): void {
  if (judge !== 'outside') simulation.settle();
}

/** A failure as text: the seed, what broke, and the last steps. */
export function failureText(failure: NonNullable<Exploration['failure']>): string {
  const steps = failure.trace.slice(-60).join('\n  ');
  return `seed ${failure.seed}: ${failure.error.message}\n  ${steps}`;
}
