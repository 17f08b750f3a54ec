/** Every scenario, in the order in which `npm run bench` runs them. */
import type { Scenario } from '../scenario.ts';

export const SCENARIOS: readonly Scenario[] = [];
