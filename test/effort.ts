/** How much the heavy tests do, and where they begin. */
import { execFileSync } from 'node:child_process';
import { REPOSITORY } from '../lab/paths.ts';

/** Set by the run on a newer Node: only whether it works there is of interest, not the search once more. */
export const BRIEF = process.env.CURLING_BRIEF === '1';

/** A number that every commit has another one of; 0 without git. */
export function seedOfCommit(): number {
  try {
    const head = execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(head.slice(0, 7), 16);
  } catch {
    return 0;
  }
}
