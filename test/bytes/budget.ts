/**
 * How long the fuzz takes, and where it begins. CURLING_FUZZ_SEED: any whole number, to see the same inputs again;
 * by default each commit begins elsewhere.
 * CURLING_FUZZ_SECONDS: seconds for each target.
 */
import { BRIEF, seedOfCommit } from '../effort.ts';

const SECONDS = BRIEF ? 0.3 : 3;

export const FUZZ_SEED = Number(process.env.CURLING_FUZZ_SEED ?? seedOfCommit());

/** Seconds that each target is fuzzed. */
export const FUZZ_SECONDS = Number(process.env.CURLING_FUZZ_SECONDS ?? SECONDS);
