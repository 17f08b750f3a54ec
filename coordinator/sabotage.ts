/**
 * Deliberate defects, for tests alone: each must be caught (test/system/catchers.ts says by whom). They work only when
 * the process was started with CURLING_TEST_SABOTAGE, and the process says so loudly.
 *
 * What breaks the arbitration is in sabotage-reducer.ts, what breaks the register in sabotage-register.ts: the exploration
 * of the arbitration runs the same functions.
 */
import { CurlingError } from '../common/errors.ts';

type Program = 'coordinator' | 'witness';

/** Every defect, and the programs that know it. */
export const SABOTAGES = {
  /** An epoch's output leaves as soon as the guest runs on. */
  'release-before-ack': ['coordinator'],
  /** The guest runs on before its epoch is sealed. */
  'seal-after-loaded': ['coordinator'],
  /** The backup acknowledges what it will commit a little later. */
  'ack-before-commit': ['coordinator'],
  /** A backup that suspects its primary runs the guest without asking. */
  'promote-without-grant': ['coordinator'],
  /** A primary that suspects its backup speaks freely without asking. */
  'solo-without-grant': ['coordinator'],
  /** Output is not held behind the full copy. */
  'emits-during-reprotection': ['coordinator'],
  /** A pair that was asked for is given up, though it may have been registered. */
  'gives-up-after-pair': ['coordinator'],
  /** Who reaches the witness counts as granted: reachability in place of the register. */
  'gateway-decides': ['coordinator'],
  /** A backup that starts again with nothing keeps the incarnation that acknowledged. */
  'empty-backup-answers': ['coordinator'],
  /** An acknowledgement counts whoever gave it. */
  'ack-of-any-incarnation': ['coordinator'],
  /** What was granted to one life of a host holds for every other. */
  'grant-to-host': ['coordinator', 'witness'],
  /** Another life of the backup's host may take over. */
  'ignores-backup-incarnation': ['witness'],
  /** A request is judged as if it were of today's generation. */
  'ignores-generation': ['witness'],
  /** A witness that starts with an empty store by itself. */
  'witness-forgets': ['witness'],
} as const satisfies Record<string, readonly Program[]>;

export type Sabotage = keyof typeof SABOTAGES;

/**
 * The defect that the environment asks this program for, or undefined.
 * @throws CurlingError CURLING_USAGE for a name that is not one of this program's.
 */
export function sabotageFrom(
  environment: NodeJS.ProcessEnv,
  program: Program,
): Sabotage | undefined {
  const name = environment.CURLING_TEST_SABOTAGE;
  if (name === undefined || name === '') return undefined;
  const all = Object.entries<readonly Program[]>(SABOTAGES);
  const names = all.filter(([, programs]) => programs.includes(program)).map(([known]) => known);
  if (names.includes(name)) return name as Sabotage;
  const expected = names.join(', ');
  throw new CurlingError(
    'CURLING_USAGE',
    `CURLING_TEST_SABOTAGE: expected one of ${expected}, got ${name}`,
  );
}
