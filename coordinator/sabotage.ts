/**
 * Deliberate defects, for tests alone: the outside observer must catch each of them. They work only when the process
 * was started with CURLING_TEST_SABOTAGE, and the coordinator says so loudly.
 */
import { CurlingError } from '../common/errors.ts';

export const SABOTAGES = [
  'release-before-ack',
  'seal-after-loaded',
  'ack-before-commit',
  'promote-without-grant',
] as const;

export type Sabotage = (typeof SABOTAGES)[number];

/**
 * The defect that the environment asks for, or undefined.
 * @throws CurlingError CURLING_USAGE for a name that is not in SABOTAGES.
 */
export function sabotageFrom(environment: NodeJS.ProcessEnv): Sabotage | undefined {
  const name = environment.CURLING_TEST_SABOTAGE;
  if (name === undefined || name === '') return undefined;
  const known = SABOTAGES.find(sabotage => sabotage === name);
  if (known) return known;
  const expected = SABOTAGES.join(', ');
  throw new CurlingError(
    'CURLING_USAGE',
    `CURLING_TEST_SABOTAGE: expected one of ${expected}, got ${name}`,
  );
}
