/** What can be measured between the guest of a rig and the outside. */
import { quantile } from 'simple-statistics';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { ADDRESSES, CARD, ECHO_PORT, MACS, type Rig, TAP } from './rig.ts';
import type { ToolProcess } from './tool-process.ts';
import type { Course } from './ways.ts';

/** As the guest sees it. */
export type Direction = 'out' | 'in';

const TCP_PORT = 5201;
const FRAME_BYTES = 60;
/** What a tool may take beyond its own time. */
const PATIENCE_MS = 30_000;

export interface TcpResult {
  gbitPerS: number;
  /** CPU of the proxy per gigabyte, in milliseconds; undefined without a proxy. */
  cpuMsPerGb: number | undefined;
}

export interface FramesResult {
  /** Per second while frames were being sent, in millions. */
  mpps: number;
  /** Of those that entered the bridge, how many never came out, in percent. */
  lossPercent: number;
  /** CPU of the proxy; undefined without one. */
  cpuNsPerFrame: number | undefined;
}

export interface RoundTripResult {
  p50Us: number;
  p99Us: number;
  lost: number;
}

/** The two ends of a direction: who sends, who receives. */
function ends(direction: Direction) {
  return direction === 'out'
    ? ({ from: 'guest', to: 'outside' } as const)
    : ({ from: 'outside', to: 'guest' } as const);
}

/** From now on: gives the CPU nanoseconds that the proxy used, undefined without one. */
function cpuSince({ proxy }: Course): () => number | undefined {
  const beforeNs = proxy?.cpuNs();
  return () => (proxy === undefined ? undefined : proxy.cpuNs() - beforeNs!);
}

/** TCP in bulk, measured where it is received. */
export async function measureTcp(
  course: Course,
  options: { direction: Direction; streams: number; settleMs: number; measureMs: number },
): Promise<TcpResult> {
  const { rig } = course;
  const { from, to } = ends(options.direction);
  const { streams, settleMs, measureMs } = options;
  const receiver = rig.start(to, 'tcp-bulk', 'receive', TCP_PORT, streams, settleMs, measureMs);
  try {
    await receiver.ready();
    const sender = rig.start(from, 'tcp-bulk', 'send', ADDRESSES[to], TCP_PORT, streams);
    try {
      await receiver.said('measuring', settleMs + PATIENCE_MS);
      const cpu = cpuSince(course);
      const { bytes, startNs, endNs } = await receiver.said('result', measureMs + PATIENCE_MS);
      const cpuNs = cpu();
      const gbitPerS = (Number(bytes) * 8) / (Number(endNs) - Number(startNs));
      return { gbitPerS, cpuMsPerGb: cpuNs && cpuNs / 1e6 / (Number(bytes) / 1e9) };
    } finally {
      await sender.end();
    }
  } finally {
    await receiver.end();
  }
}

/** Small frames, as many as the sender's end takes. */
export async function measureFrames(
  course: Course,
  options: { direction: Direction; measureMs: number },
): Promise<FramesResult> {
  const { rig } = course;
  const { direction } = options;
  const { from, to } = ends(direction);
  const sink = await rig.start(to, 'frame-count', CARD).ready();
  // A frame that the tap of the guest had no room for was never sent. This counter starts behind the sink, lest what is
  // left of an earlier load comes by between the two and looks lost.
  const atTap =
    direction === 'out' ? await rig.start('host', 'frame-count', TAP).ready() : undefined;
  try {
    const cpu = cpuSince(course);
    const timing = ['ms', options.measureMs] as const;
    const sender = rig.start(from, 'frame-send', CARD, MACS[to], FRAME_BYTES, 1, ...timing);
    const sent = await sender.said('result', options.measureMs + PATIENCE_MS);
    const entered = atTap ? await enteredAt(atTap) : Number(sent.frames);
    sink.finish(`${entered}\n`);
    const looks = looksOf(await sink.said('result', PATIENCE_MS));
    const cpuNs = cpu();
    const arrived = increase(looks);
    const startNs = Number(sent.startNs);
    const endNs = Number(sent.endNs);
    const inTime = countAt(looks, endNs) - countAt(looks, startNs);
    return {
      mpps: (inTime / (endNs - startNs)) * 1e3,
      lossPercent: Math.max(0, 100 * (1 - arrived / entered)),
      cpuNsPerFrame: cpuNs && cpuNs / arrived,
    };
  } finally {
    await Promise.all([sink.end(), atTap?.end()]);
  }
}

/** Datagrams at a steady pace, from the outside to the guest and back. */
export async function measureRoundTrip(
  rig: Rig,
  options: { count: number; intervalUs?: number },
): Promise<RoundTripResult> {
  const { count, intervalUs = 500 } = options;
  const where = [ADDRESSES.guest, ECHO_PORT, count, intervalUs] as const;
  const ping = rig.start('outside', 'udp-ping', 'ping', ...where);
  try {
    const { roundTripNs, lost } = await ping.said('result', PATIENCE_MS + count * 5);
    const timesUs = (roundTripNs as number[]).map(ns => ns / 1000);
    if (timesUs.length === 0) throw new Error('no datagram came back');
    const [p50Us, p99Us] = [quantile(timesUs, 0.5), quantile(timesUs, 0.99)];
    return { p50Us, p99Us, lost: Number(lost) };
  } finally {
    await ping.end();
  }
}

/** Moments in nanoseconds, each with the number of frames until then. */
type Looks = readonly (readonly [number, number])[];

function looksOf(result: JsonObject): Looks {
  return result.looks as Looks;
}

function increase(looks: Looks): number {
  return looks.at(-1)![1] - looks[0]![1];
}

async function enteredAt(counter: ToolProcess): Promise<number> {
  counter.finish();
  return increase(looksOf(await counter.said('result', PATIENCE_MS)));
}

/** The number of frames at a moment, on the line between the looks before and after it. */
export function countAt(looks: Looks, ns: number): number {
  const next = looks.findIndex(([at]) => at >= ns);
  if (next === -1) return looks.at(-1)![1];
  if (next === 0) return looks[0]![1];
  const [beforeNs, before] = looks[next - 1]!;
  const [afterNs, after] = looks[next]!;
  return before + ((after - before) * (ns - beforeNs)) / (afterNs - beforeNs);
}
