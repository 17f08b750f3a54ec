/**
 * `node build/bench/rig/try.js WHAT,… [--variants bridge,hold] [--rounds 3] [--guest veth|tap] [--seconds 1]`: a quick
 * look at the datapath while working on it. Medians over the rounds, and their ratio to the first variant of the same round.
 *
 * WHAT: tcp-out, tcp-in, tcp-out-4, tcp-in-4, pps-out, pps-in, rtt.
 * Variants: bridge, bypass, pass, hold, epoch-N; the same with `+record`, for a proxy that records in the file that
 * `--record` names, with `--record-snap` bytes of each frame.
 */
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import { measureFrames, measureRoundTrip, measureTcp } from './measure.ts';
import type { GuestKind } from './rig.ts';
import { type Course, type Way, Ways } from './ways.ts';

/** Undefined: does not apply. */
type Figures = Record<string, number | undefined>;

type Variant = Way | `${Way}+record`;

/** More than a run can fill. */
const RECORD_MIB = '65536';

async function measure(what: string, course: Course, measureMs: number): Promise<Figures> {
  const [kind, side, streams] = what.split('-');
  const direction = side === 'in' ? 'in' : 'out';
  if (kind === 'tcp') {
    const load = { direction, streams: Number(streams ?? 1), settleMs: 200, measureMs } as const;
    const { gbitPerS, cpuMsPerGb } = await measureTcp(course, load);
    return { [`${what} Gbit/s`]: gbitPerS, [`${what} CPU ms/GB`]: cpuMsPerGb };
  }
  if (kind === 'pps') {
    const result = await measureFrames(course, { direction, measureMs });
    return {
      [`${what} Mpps`]: result.mpps,
      [`${what} loss %`]: result.lossPercent,
      [`${what} CPU ns/frame`]: result.cpuNsPerFrame,
    };
  }
  if (kind === 'rtt') {
    const { p50Us, p99Us, lost } = await measureRoundTrip(course.rig, { count: measureMs });
    return { 'rtt p50 us': p50Us, 'rtt p99 us': p99Us, 'rtt lost': lost };
  }
  throw new Error(`what is ${what}?`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    variants: { type: 'string', default: 'bridge,bypass,hold' },
    rounds: { type: 'string', default: '3' },
    guest: { type: 'string', default: 'veth' },
    seconds: { type: 'string', default: '1' },
    'buffer-mib': { type: 'string', default: '256' },
    record: { type: 'string' },
    'record-snap': { type: 'string', default: '262144' },
  },
});
const wanted = (positionals[0] ?? 'tcp-out,tcp-in,pps-out,pps-in,rtt').split(',');
const variants = values.variants.split(',') as Variant[];
const measureMs = Number(values.seconds) * 1000;
const found = new Map<string, Map<Variant, number[]>>();

const guest = values.guest as GuestKind;
const bufferMib = Number(values['buffer-mib']);
const plain = await Ways.open({ guest }, { bufferMib });
const record = ['--record', values.record ?? '', '--record-mib', RECORD_MIB];
record.push('--record-snap', values['record-snap']);
const recorded = values.record ? await Ways.open({ guest }, { bufferMib, args: record }) : plain;
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const what of wanted) {
      for (const variant of variants) {
        const [way, suffix] = variant.split('+') as [Way, string | undefined];
        const ways = suffix ? recorded : plain;
        const figures = await ways.along(way, course => measure(what, course, measureMs));
        if (ways.driven && (way === 'hold' || way.startsWith('epoch-'))) {
          figures[`${what} driver: us per seal+release`] = ways.driven.p50Us;
          figures[`${what} driver: epochs`] = ways.driven.epochs;
        }
        for (const [name, value] of Object.entries(figures)) {
          if (value === undefined) continue;
          const row = found.get(name) ?? new Map<Variant, number[]>();
          found.set(name, row.set(variant, [...(row.get(variant) ?? []), value]));
        }
      }
    }
  }
} finally {
  await plain.close();
  if (recorded !== plain) await recorded.close();
}

for (const [name, row] of found) {
  const first = variants[0]!;
  const base = row.get(first);
  const cells = variants.map(variant => {
    const list = row.get(variant);
    if (!list) return '-';
    const ratios = base?.every(value => value > 0)
      ? list.map((value, round) => value / base[round]!)
      : [];
    const ratio = variant === first || ratios.length === 0 ? '' : ` (${median(ratios).toFixed(2)})`;
    return `${median(list).toFixed(3)}${ratio}`;
  });
  console.log([name.padEnd(38), ...cells.map(cell => cell.padStart(20))].join(''));
}
