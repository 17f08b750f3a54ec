/** What the outside sees when the primary host is killed under traffic. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import type { EchoSummary } from '../../lab/client/echo.ts';
import { wallMs } from '../../lab/client/wall-clock.ts';
import { Traffic } from '../../lab/traffic.ts';
import { NotRunnable, type Values } from '../scenario.ts';
import { ask, type Peer } from './peer.ts';
import type { Rig } from './rig.ts';

const ECHO_RATE = 100;
/** Half of it random: records and compare-and-swaps that no second execution repeats. */
const TRAFFIC = { recordsRate: 100, echoRate: ECHO_RATE, casIntervalUs: 20_000 };
const ANSWERS_AFTER = 40;
const ANSWERS_MS_MAX = 10_000;

export interface KillTimes {
  /** Traffic before the kill. */
  beforeMs: number;
  /** How long a guest without a second host is watched. */
  goneMs: number;
}

/**
 * Kills host a of the variant's peer, which is used up by it.
 * @throws NotRunnable for a peer that has no failover, with what the client saw
 */
export async function killOnce(rig: Rig, variant: string, times: KillTimes): Promise<Values> {
  const { peer, probe } = await rig.use(variant);
  try {
    if (variant.startsWith('buffer-')) throw new NotRunnable(await gone(peer, probe, times));
    return await failover(peer, times);
  } finally {
    await rig.drop(variant);
  }
}

async function failover(peer: Peer, times: KillTimes): Promise<Values> {
  const traffic = await Traffic.start(peer.lab, TRAFFIC);
  await sleep(times.beforeMs);
  const killedMs = wallMs();
  peer.lab.kill('a');
  const takeover = await peer.takeOver(killedMs);
  if (!takeover) throw new NotRunnable('no failover');
  await untilAnswers(traffic);
  const { verdict, echo } = await traffic.finish();
  const judged = verdict.inconclusive.length === 0;
  const gapMs = gapAt(echo.silences, killedMs);
  return {
    gap: Math.max(0, gapMs - takeover.detectionMs),
    resume: takeover.resumeMs,
    survived: echo.lost || verdict.connectionsLost > 0 ? 0 : 1,
    ...(judged ? { contradicted: verdict.contradicted + verdict.repeated } : {}),
    judged: judged ? 1 : 0,
  };
}

/** The longest silence that ended after the kill. */
export function gapAt(silences: EchoSummary['silences'], killedMs: number): number {
  const after = silences.filter(({ startMs, durationMs }) => startMs + durationMs > killedMs);
  return Math.max(0, ...after.map(({ durationMs }) => durationMs));
}

async function untilAnswers(traffic: Traffic): Promise<void> {
  const answered = () => {
    const trips = traffic.echo.latest.roundTrips as { count?: number } | undefined;
    return trips?.count ?? 0;
  };
  const wanted = answered() + ANSWERS_AFTER;
  const deadlineMs = performance.now() + ANSWERS_MS_MAX;
  while (answered() < wanted) {
    if (performance.now() > deadlineMs) {
      const text = `no answer within ${ANSWERS_MS_MAX / 1000} s of the takeover`;
      throw new CurlingError('CURLING_TIMEOUT', text);
    }
    await sleep(20);
  }
}

/** Kills a guest that nothing protects; says what a client saw then. */
async function gone(peer: Peer, probe: Parameters<typeof ask>[0], times: KillTimes) {
  await ask(probe, `watch 7 ${ECHO_RATE}`);
  await sleep(times.beforeMs / 2);
  peer.lab.kill('a');
  await sleep(times.goneMs);
  const seen = await ask(probe, 'watched');
  const silentMs = Math.round(Number(seen.longestMs));
  return `no failover: the guest ended with its QEMU; ${silentMs} ms after its last answer its client was still waiting`;
}
