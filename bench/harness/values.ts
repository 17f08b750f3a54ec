/** Checks what a run returns before it is kept. */
import type { Metric, Values } from '../scenario.ts';

/**
 * The values, when all are finite numbers of known metrics.
 * @throws Error naming the first that is not: a mistake in the scenario, reported like any failure of a run.
 */
export function checkedValues(values: Values, metrics: readonly Metric[]): Values {
  for (const [name, value] of Object.entries(values)) {
    if (!metrics.some(({ id }) => id === name)) throw new Error(`there is no metric ${name}`);
    if (!Number.isFinite(value)) throw new Error(`${name} was measured as ${value}`);
  }
  return { ...values };
}
