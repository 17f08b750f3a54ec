/**
 * For tests alone: stops this process at a named point of an epoch, so that its host can be killed exactly there. It works
 * only when the process was started with CURLING_TEST_STOP_AT=POINT:N, and stops in the Nth epoch of a protection.
 */
import { CurlingError } from '../common/errors.ts';

/** The points of an epoch on the primary, in their order. */
export const STOP_POINTS = [
  /** REPLY was sent. */
  'replied',
  /** The guest is stopped, nothing is sealed. */
  'stopped',
  /** The epoch is sealed, the checkpoint is not staged or just is. */
  'sealed',
  /** The checkpoint is staged. */
  'staged',
  /** The guest runs on; nothing of the checkpoint is sent yet, unless it is a large one. */
  'resumed',
  /** The first pages are sent. */
  'pages-sent',
  /** The device state is sent, the commit record is not. */
  'device-sent',
  /** The commit record is sent. */
  'commit-sent',
  /** The acknowledgement is here, nothing is released. */
  'acknowledged',
  /** The release was told to the proxy. */
  'released',
] as const;

export type StopPoint = (typeof STOP_POINTS)[number];

/** Called at each point with the number of the epoch in its protection, from 1 on. */
export type StopAt = (point: StopPoint, epochInProtection: number) => void;

/**
 * The hook that the environment asks for; does nothing when it asks for none.
 * @throws CurlingError CURLING_USAGE for a point that is not in STOP_POINTS.
 */
export function stopAtFrom(environment: NodeJS.ProcessEnv): StopAt {
  const wanted = environment.CURLING_TEST_STOP_AT;
  if (wanted === undefined || wanted === '') return () => {};
  const match = /^([a-z-]+):(\d+)$/.exec(wanted);
  const point = STOP_POINTS.find(candidate => candidate === match?.[1]);
  if (!point) {
    const expected = `POINT:N with one of ${STOP_POINTS.join(', ')}`;
    throw new CurlingError(
      'CURLING_USAGE',
      `CURLING_TEST_STOP_AT: expected ${expected}, got ${wanted}`,
    );
  }
  const epoch = Number(match?.[2]);
  return (at, number) => {
    if (at === point && number >= epoch) process.kill(process.pid, 'SIGSTOP');
  };
}
