/**
 * How long the fuzz takes, and where it begins. CURLING_FUZZ_SEED: any whole number, to see the same inputs again.
 * CURLING_FUZZ_SECONDS: seconds for each target.
 */
import { BRIEF } from '../effort.ts';

const SECONDS = BRIEF ? 0.3 : 3;

export const FUZZ_SEED = Number(process.env.CURLING_FUZZ_SEED ?? 1);

/** Seconds that each target is fuzzed. */
export const FUZZ_SECONDS = Number(process.env.CURLING_FUZZ_SECONDS ?? SECONDS);
