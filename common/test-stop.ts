/**
 * For tests alone: stops this process (SIGSTOP) at a named point of the protocol, so that a fault can be injected exactly
 * there. Nothing is looked at unless the process was started with one of
 *
 *   CURLING_TEST_STOP_AT=POINT:N    stops once, when the point is passed for the Nth time
 *   CURLING_TEST_STOP_FILE=PATH     the same for what the file holds at the moment, which is counted from when it was
 *                                   written; the file is removed when it is hit. One file may serve several processes:
 *                                   each point is passed by one kind of process only
 */
import fs from 'node:fs';
import { CurlingError } from './errors.ts';

/**
 * The points, in the order of the protocol: of an epoch, of a failover, of a protection that begins. `solo-applied` and
 * `pair-applied` are passed by the witness, `releasing` by the proxy, the others by coordinators. What is true at each
 * stands in docs/faults.md.
 */
export const STOP_POINTS = [
  'due',
  'stopped',
  'sealed',
  'begin-sent',
  'pages-sent',
  'device-sent',
  'commit-sent',
  'resumed',
  'received',
  'verified',
  'committed',
  'ack-sent',
  'acknowledged',
  'releasing',
  'released',
  'applied',
  'suspected',
  'solo-sent',
  'solo-applied',
  'granted',
  'loading',
  'loaded',
  'running',
  'announced',
  'snapshot',
  'held',
  'copying',
  'copy-acknowledged',
  'pair-sent',
  'pair-applied',
  'first-epoch',
] as const;

export type StopPoint = (typeof STOP_POINTS)[number];

/** Called when a point is passed; returns when this process may go on. */
export type StopAt = (point: StopPoint) => void;

/** How long a thread waits to be stopped: the signal reaches the main thread first. */
const STOP_MS_MAX = 100;

interface Wish {
  point: StopPoint;
  /** Times that the point is still to be passed, this one included. */
  left: number;
}

/**
 * The hook that the environment asks for; undefined when it asks for none, as in all production.
 * @param stop Stops the process; for tests of the hook itself.
 * @throws CurlingError CURLING_USAGE for what is not POINT:N; the hook throws it for such a file.
 */
export function testStopFrom(
  environment: NodeJS.ProcessEnv,
  stop: () => void = stopThisProcess,
): StopAt | undefined {
  const at = environment.CURLING_TEST_STOP_AT ?? '';
  const file = environment.CURLING_TEST_STOP_FILE ?? '';
  if (at === '' && file === '') return undefined;
  const fixed = at === '' ? undefined : parseWish('CURLING_TEST_STOP_AT', at);
  const follow = file === '' ? undefined : followFile(file);
  return point => {
    if (fixed && passes(fixed, point)) stop();
    if (follow?.(point)) stop();
  };
}

/** Whether the wish is fulfilled by this passing of a point. */
function passes(wish: Wish, point: StopPoint): boolean {
  return wish.point === point && --wish.left === 0;
}

/** Whether a point is the one that the file asks for; the file is removed then. */
function followFile(file: string): (point: StopPoint) => boolean {
  let known = '';
  let wish: Wish | undefined;
  return point => {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    const version = stat ? `${stat.ino} ${stat.mtimeMs}` : '';
    if (version !== known) {
      wish = stat ? parseWish(file, fs.readFileSync(file, 'utf8').trim()) : undefined;
      known = version;
    }
    if (!wish || !passes(wish, point)) return false;
    fs.rmSync(file, { force: true });
    return true;
  };
}

function parseWish(where: string, text: string): Wish {
  const match = /^([a-z-]+):([1-9]\d{0,8})$/.exec(text);
  const known = STOP_POINTS.find(name => name === match?.[1]);
  if (match && known) return { point: known, left: Number(match[2]) };
  const names = STOP_POINTS.join(', ');
  const expected = `POINT:N with one of ${names}`;
  throw new CurlingError('CURLING_USAGE', `${where}: expected ${expected}, got ${text}`);
}

/** On return the process was stopped and runs on: nothing of this thread happens in between, whichever thread it is. */
function stopThisProcess(): void {
  process.kill(process.pid, 'SIGSTOP');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STOP_MS_MAX);
}
