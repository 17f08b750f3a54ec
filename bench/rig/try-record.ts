/**
 * `node build/bench/rig/try-record.js FILE [--rounds 7] [--bytes 60,1250] [--record-snap 1600]`: what a recording in FILE
 * (which must not be there) costs a release. Two proxies in turns, one of which records: 100,000 frames are held, then
 * released, and every one is looked for outside. Medians, and of the ratios within the rounds.
 */
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import { Bursts } from './burst.ts';

const FRAMES = 100_000;
const BUFFER_MIB = 512;
/** More than a run can fill. */
const RECORD_MIB = '65536';

interface Cost {
  mpps: number;
  cpuNsPerFrame: number;
}

/** Holds a burst and releases it. CPU is that of the release, until all that is to be written is written. */
async function burst(bursts: Bursts, bytes: number): Promise<Cost> {
  const { proxy } = bursts;
  const sink = await bursts.expect(FRAMES);
  try {
    await bursts.send(FRAMES, bytes);
    const held = await proxy.untilHeld(FRAMES);
    if (held < FRAMES) throw new Error(`only ${held} frames are held`);
    const { epoch } = await bursts.seal();
    const beforeNs = proxy.cpuNs();
    const { mpps, lost, late } = await bursts.releaseTo(sink, epoch);
    if (lost + late > 0) throw new Error(`${lost} frames were lost, ${late} came late`);
    const { framesRecorded, framesUnrecorded } = await proxy.execute('query-stats');
    if (framesUnrecorded !== 0) console.log(`unrecorded: ${framesUnrecorded} of ${framesRecorded}`);
    return { mpps, cpuNsPerFrame: (proxy.cpuNs() - beforeNs) / FRAMES };
  } finally {
    await sink.end();
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    bytes: { type: 'string', default: '60,1250' },
    'record-snap': { type: 'string', default: '1600' },
  },
});
const file = positionals[0];
if (!file) throw new Error('which file is it to record in?');
const args = ['--record', file, '--record-mib', RECORD_MIB];
args.push('--record-snap', values['record-snap']);
const plain = await Bursts.open({ bufferMib: BUFFER_MIB });
try {
  const recorded = await Bursts.open({ bufferMib: BUFFER_MIB, args });
  try {
    for (const bytes of values.bytes.split(',').map(Number)) {
      const rounds: [Cost, Cost][] = [];
      for (let round = 0; round < Number(values.rounds); round++)
        rounds.push([await burst(plain, bytes), await burst(recorded, bytes)]);
      for (const figure of ['mpps', 'cpuNsPerFrame'] as const) {
        const [without, with_] = [0, 1].map(side =>
          median(rounds.map(both => both[side]![figure])),
        );
        const ratio = median(rounds.map(both => both[1][figure] / both[0][figure]));
        const row = [without!, with_!, ratio].map(value => value.toFixed(3).padStart(12)).join('');
        console.log(`${`${bytes} bytes: ${figure}`.padEnd(30)}${row}`);
      }
    }
  } finally {
    await recorded.close();
  }
} finally {
  await plain.close();
}
