/** How much the heavy tests that need nothing of the machine do. */

/** Set by the run on a newer Node: only whether it works there is of interest, not the search once more. */
export const BRIEF = process.env.CURLING_BRIEF === '1';
