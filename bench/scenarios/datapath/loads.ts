/** Loads of the datapath's experiments as metrics: what is printed, and how it is measured. */
import { type Direction, measureFrames, measureTcp } from '../../rig/measure.ts';
import type { Course } from '../../rig/ways.ts';
import type { Goal, Metric, RunContext, Values } from '../../scenario.ts';

/** How long one bulk transfer settles and is measured, in milliseconds. */
const TCP_MS = { full: { settle: 300, measure: 1000 }, quick: { settle: 100, measure: 250 } };
const FRAMES_MS = { full: 1000, quick: 250 };

export function tcpMetric(direction: Direction, streams: number): Metric {
  const title = `TCP ${direction}, ${streams === 1 ? '1 stream' : `${streams} streams`}`;
  return { id: `tcp-${direction}-${streams}`, title, unit: 'Gbit/s', better: 'higher' };
}

export function tcpCpuMetric(direction: Direction): Metric {
  return {
    id: `tcp-${direction}-cpu`,
    title: `proxy's CPU per GB ${direction}`,
    unit: 'ms',
    better: 'lower',
  };
}

export function framesMetrics(direction: Direction): Metric[] {
  return [
    { id: `frames-${direction}`, title: `60 B ${direction}`, unit: 'Mpps', better: 'higher' },
    { id: `loss-${direction}`, title: `lost ${direction}`, unit: '%', better: 'lower' },
  ];
}

export const FRAMES_CPU: Metric = {
  id: 'frames-out-cpu',
  title: "proxy's CPU per frame out",
  unit: 'ns',
  better: 'lower',
};

/** Bulk transfers one after the other: all of these directions with all of these numbers of streams. */
export async function tcpValues(
  course: Course,
  context: RunContext,
  loads: readonly { direction: Direction; streams: number; settleMs?: number }[],
): Promise<Values> {
  const values: Record<string, number> = {};
  const { settle, measure } = context.quick ? TCP_MS.quick : TCP_MS.full;
  for (const { direction, streams, settleMs = settle } of loads) {
    context.signal.throwIfAborted();
    const load = { direction, streams, settleMs, measureMs: measure };
    const { gbitPerS, cpuMsPerGb } = await measureTcp(course, load);
    values[`tcp-${direction}-${streams}`] = gbitPerS;
    if (streams === 1 && cpuMsPerGb !== undefined) values[`tcp-${direction}-cpu`] = cpuMsPerGb;
  }
  return values;
}

/** Small frames, in each of these directions. */
export async function framesValues(
  course: Course,
  context: RunContext,
  directions: readonly Direction[],
): Promise<Values> {
  const values: Record<string, number> = {};
  const measureMs = context.quick ? FRAMES_MS.quick : FRAMES_MS.full;
  for (const direction of directions) {
    context.signal.throwIfAborted();
    const result = await measureFrames(course, { direction, measureMs });
    values[`frames-${direction}`] = result.mpps;
    values[`loss-${direction}`] = result.lossPercent;
    const { cpuNsPerFrame } = result;
    if (direction === 'out' && cpuNsPerFrame !== undefined)
      values['frames-out-cpu'] = cpuNsPerFrame;
  }
  return values;
}

/** That a variant reaches at least these parts of the baseline, by metric. */
export function atLeast(variant: string, shares: Readonly<Record<string, number>>): Goal[] {
  return Object.entries(shares).map(([metric, min]) => ({ variant, metric, of: 'ratio', min }));
}
