/** Which experiments the words on the command line name. */
import { CurlingError } from '../../common/errors.ts';
import type { Scenario } from '../scenario.ts';

const SUGGESTIONS_MAX = 3;

/**
 * The scenarios named, in their own order; all without names. `SCENARIO/NAME` picks one experiment of a scenario.
 * @throws CurlingError CURLING_USAGE for a name that there is not, with the nearest ones.
 */
export function selectScenarios(
  scenarios: readonly Scenario[],
  names: readonly string[],
): Scenario[] {
  if (names.length === 0) return [...scenarios];
  const known = scenarios.flatMap(({ name, experiments }) => [
    name,
    ...experiments.map(({ id }) => id),
  ]);
  for (const name of names) if (!known.includes(name)) throw unknownName(name, known);
  return scenarios.flatMap(scenario => {
    if (names.includes(scenario.name)) return [scenario];
    const experiments = scenario.experiments.filter(({ id }) => names.includes(id));
    return experiments.length > 0 ? [{ ...scenario, experiments }] : [];
  });
}

function unknownName(name: string, known: readonly string[]): CurlingError {
  const near = nearest(name, known);
  const hint =
    near.length > 0
      ? `did you mean ${near.join(' or ')}?`
      : `there ${known.length > 0 ? `are ${known.join(', ')}` : 'are none yet'}`;
  return new CurlingError(
    'CURLING_USAGE',
    `there is no scenario ${JSON.stringify(name)}; ${hint} (--list lists them)`,
  );
}

/** The known names that differ from `name` in few letters, or begin or end as it does; the nearest first. */
export function nearest(name: string, known: readonly string[]): string[] {
  const bound = Math.max(2, Math.floor(name.length / 3));
  return known
    .map(candidate => ({ candidate, distance: distanceOf(name, candidate) }))
    .filter(({ distance }) => distance <= bound)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, SUGGESTIONS_MAX)
    .map(({ candidate }) => candidate);
}

function distanceOf(name: string, candidate: string): number {
  const part = name.length >= 3 && (candidate.startsWith(name) || candidate.endsWith(name));
  return part ? 1 : levenshtein(name, candidate);
}

/** How many letters must be put in, taken out or changed. */
export function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
