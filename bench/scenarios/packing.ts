/** What packing saves on the replication link, and what it costs. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { CONTROL_PORTS } from '../../lab/client/control.ts';
import { cpuOf } from '../guest/cpu.ts';
import { GuestRig, PRIMARY } from '../guest/guest-rig.ts';
import { Keeper, made } from '../guest/keeper.ts';
import { type LinkRate, shapeLink } from '../guest/link-shape.ts';
import { nullStager } from '../guest/null-run.ts';
import { named, trusted } from '../guest/spread.ts';
import { measureXbzrle } from '../guest/xbzrle.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';

const INTERVAL_MS = 100;
const POLICIES = ['never', 'always', 'auto'] as const;
const LINKS = {
  veth: { title: 'a veth pair', rate: undefined },
  gbit: { title: '1 Gbit/s', rate: 1_000_000_000 },
  mbit: { title: '100 Mbit/s', rate: 100_000_000 },
} as const satisfies Record<string, { title: string; rate: LinkRate }>;
type LinkName = keyof typeof LINKS;
const LOADS = {
  idle: 'an idle guest',
  build: 'a guest that builds',
  random: 'a guest that writes noise',
} as const;
type Load = keyof typeof LOADS;
/** 80 pages of an arena and 16 of a file for each. */
const UNITS_PER_SECOND = 15;
const NOISE_PAGES_PER_SECOND = 1500;
const NOISE_SPAN_MIB = 16;
/** As much as curling keeps of a guest of 128 MiB. */
const XBZRLE_CACHE_BYTES = 32 << 20;
/** Rounds of about a quarter of a second. */
const XBZRLE_BYTES_PER_SECOND = 16 << 20;

const METRICS: readonly Metric[] = [
  { id: 'wire', title: 'wire', unit: 'KiB', better: 'lower' },
  { id: 'page', title: 'a page', unit: 'KiB', better: 'lower' },
  { id: 'commit-p50', title: 'staged to committed p50', unit: 'ms', better: 'lower' },
  { id: 'commit-p90', title: 'staged to committed p90', unit: 'ms', better: 'lower' },
  { id: 'pause-p50', title: 'pause p50', unit: 'ms', better: 'lower' },
  { id: 'primary-cpu', title: 'CPU, primary', unit: 'ms', better: 'lower' },
  { id: 'backup-cpu', title: 'CPU, backup', unit: 'ms', better: 'lower' },
  { id: 'pages', title: 'pages', unit: '', better: 'neither' },
  { id: 'checkpoints', title: 'checkpoints', unit: '', better: 'neither' },
];

/** A guest, and the size of its device state. */
class PackingRig {
  readonly rig: GuestRig;
  readonly deviceBytes: number;

  constructor(rig: GuestRig, deviceBytes: number) {
    this.rig = rig;
    this.deviceBytes = deviceBytes;
  }

  async load(load: Load): Promise<void> {
    const { rig } = this;
    await rig.dirty(load === 'random' ? NOISE_PAGES_PER_SECOND : 0, NOISE_SPAN_MIB);
    const build = load === 'build' ? `start ${UNITS_PER_SECOND}` : 'stop';
    await rig.during(rig.probe.ask(CONTROL_PORTS.build, build));
  }

  shape(rate: LinkRate): Promise<void> {
    return shapeLink(this.rig.deployment.lab.hosts, rate);
  }

  async measure(policy: string, ms: number): Promise<Values> {
    const { rig } = this;
    const { hosts } = rig.deployment.lab;
    await rig.become(`fixed-${INTERVAL_MS}`, true, ['--pack', policy]);
    // The first checkpoints find out what is worth while.
    await rig.during(sleep(ms / 3));
    const cpu = () => hosts.map(host => cpuOf([host]).coordinator);
    const [wire, before, cpuBefore] = [await rig.wireBytes(), await rig.status(), cpu()];
    await rig.during(sleep(ms));
    const [after, cpuAfter] = [await rig.status(), cpu()];
    const wireBytes = (await rig.wireBytes()) - wire;
    const count = after.epoch.taken - before.epoch.taken;
    const committed = after.epoch.committed - before.epoch.committed;
    if (count === 0 || committed === 0) throw new Error('no checkpoint was taken');
    const [a, b] = [before.checkpoint, after.checkpoint];
    const pages = ((b.bytesTotal - a.bytesTotal) / count - this.deviceBytes) / PAGE_BYTES;
    const sent = b.packing.sentBytesTotal - a.packing.sentBytesTotal;
    return {
      ...named('commit', trusted(b.commitMs), ['p50', 'p90']),
      ...named('pause', trusted(b.pauseMs), ['p50']),
      wire: wireBytes / committed / 1024,
      ...(pages > 0 ? { page: (sent / committed - this.deviceBytes) / pages / 1024 } : {}),
      'primary-cpu': (cpuAfter[0]! - cpuBefore[0]!) / count,
      'backup-cpu': (cpuAfter[1]! - cpuBefore[1]!) / count,
      pages: Math.max(0, pages),
      checkpoints: count,
    };
  }

  /** By QEMU alone. */
  async xbzrle(ms: number): Promise<Values> {
    const { rig } = this;
    await rig.withoutCoordinator();
    const qmpPath = join(rig.deployment.lab.host(PRIMARY).runDir, 'qmp.sock');
    const { pages, bytes } = await rig.during(
      measureXbzrle({
        ...{ qmpPath, ms, cacheBytes: XBZRLE_CACHE_BYTES },
        bytesPerSecond: XBZRLE_BYTES_PER_SECOND,
      }),
    );
    return pages > 0 ? { page: bytes / pages / 1024 } : {};
  }

  close(): Promise<void> {
    return this.rig.close();
  }
}

async function create(signal: AbortSignal): Promise<PackingRig> {
  return made(await GuestRig.create({ signal }), async rig => {
    const { deviceBytes } = await nullStager(rig, 1, INTERVAL_MS);
    return new PackingRig(rig, deviceBytes);
  });
}

function experiment(load: Load, link: LinkName): Experiment {
  const keeper = new Keeper(create);
  const { title, rate } = LINKS[link];
  const xbzrle = rate === undefined && load !== 'idle';
  return {
    id: `packing/${load}-${link}`,
    title: `${LOADS[load]}, ${title}`,
    about:
      `A checkpoint every ${INTERVAL_MS} ms of a guest of 128 MiB over ${title}, with --pack as in the first column. Wire is what the ` +
      'replication interface sent for each checkpoint, with everything else on that link; a page is what was sent of it, without device ' +
      'state; CPU is that of the coordinators for each checkpoint; pages (mean) are those with content.' +
      (xbzrle
        ? " xbzrle: QEMU's own live migration of the same guest under the same load to nowhere, its cache as large as curling's, at " +
          `${XBZRLE_BYTES_PER_SECOND >> 20} MiB/s; bytes that it sent in its rounds but for the first two, by the pages in them.`
        : ''),
    metrics: METRICS,
    variants: [
      ...POLICIES.map(id => ({ id, title: id })),
      ...(xbzrle ? [{ id: 'xbzrle', title: "QEMU's xbzrle", fullOnly: true }] : []),
    ],
    baseline: 'never',
    rounds: { full: 3, quick: load === 'build' && link === 'gbit' ? 1 : 0 },
    seconds: { open: 9, run: rate === LINKS.mbit.rate ? 12 : 8, quickRun: 4 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const ms = quick ? 1500 : 4000;
      return keeper.use(signal, async rig => {
        await rig.shape(rate);
        await rig.load(load);
        return variant === 'xbzrle' ? rig.xbzrle(ms) : rig.measure(variant, ms);
      });
    },
    close: () => keeper.close(),
  };
}

export const PACKING: Scenario = {
  name: 'packing',
  title: 'Fewer bytes on the link',
  question:
    'How many bytes of a checkpoint need to travel, and what do they cost the processors? Output waits for the commit of its ' +
    'checkpoint: on a slow link the bytes decide how long. Auto should be as good as the better of the two others.',
  experiments: (Object.keys(LOADS) as Load[]).flatMap(load =>
    (Object.keys(LINKS) as LinkName[]).map(link => experiment(load, link)),
  ),
};
