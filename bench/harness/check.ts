/** Whether scenarios are what the harness can work with: a mistake here is the author's, so it is asserted. */
import assert from 'node:assert/strict';
import { type Experiment, type Scenario, UNITS } from '../scenario.ts';

const WORD = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** Asserts that the scenarios are well formed. */
export function checkScenarios(scenarios: readonly Scenario[]): void {
  unique(
    'scenario',
    scenarios.map(({ name }) => name),
  );
  for (const { name, experiments } of scenarios) {
    unique(
      `experiment of ${name}`,
      experiments.map(({ id }) => id.slice(name.length + 1)),
    );
    for (const experiment of experiments) {
      assert(experiment.id.startsWith(`${name}/`), `${experiment.id} begins with ${name}/`);
      checkExperiment(experiment);
    }
  }
}

function checkExperiment(experiment: Experiment): void {
  const { id, metrics, variants, baseline, goals = [], rounds, seconds } = experiment;
  assert(metrics.length > 0 && variants.length > 0, `${id} has metrics and variants`);
  unique(
    `metric of ${id}`,
    metrics.map(metric => metric.id),
  );
  unique(
    `variant of ${id}`,
    variants.map(variant => variant.id),
  );
  for (const { unit } of metrics) assert(UNITS.includes(unit), `${id}: a known unit, not ${unit}`);
  const isVariant = (name: string) => variants.some(variant => variant.id === name);
  assert(baseline === undefined || isVariant(baseline), `${id}: the baseline is a variant`);
  for (const goal of goals) {
    const { variant, metric, of, min, max } = goal;
    assert(isVariant(variant), `${id}: goal of a variant, not ${variant}`);
    assert(
      metrics.some(other => other.id === metric),
      `${id}: goal of a metric, not ${metric}`,
    );
    assert(min !== undefined || max !== undefined, `${id}: a goal has a bound`);
    assert(of === 'value' || baseline !== undefined, `${id}: a ratio needs a baseline`);
    assert(of === 'value' || baseline !== variant, `${id}: the baseline has no ratio to itself`);
  }
  assert(Number.isInteger(rounds.full) && rounds.full >= 1, `${id}: at least one round`);
  assert(Number.isInteger(rounds.quick) && rounds.quick >= 0, `${id}: quick rounds are declared`);
  const base = variants.find(variant => variant.id === baseline);
  assert(!base?.fullOnly, `${id}: the quick form needs the baseline too`);
  for (const guess of [seconds.open, seconds.run, seconds.quickRun])
    assert(guess >= 0 && Number.isFinite(guess), `${id}: seconds are declared`);
}

function unique(what: string, names: readonly string[]): void {
  for (const name of names) assert.match(name, WORD, `${what}: ${name}`);
  assert.equal(new Set(names).size, names.length, `every ${what} has its own name`);
}
