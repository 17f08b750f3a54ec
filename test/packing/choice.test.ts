import test from 'ava';
import { AutoChoice, type PackLevel, type SentFigures } from '../../coordinator/packing/choice.ts';

/** What a byte of this guest's pages costs with each effort, and what is left of it. */
type Guest = Record<PackLevel, { cpuNs: number; share: number }>;

const PLAIN = { cpuNs: 0, share: 1 };
const TEXT: Guest = {
  plain: PLAIN,
  filter: { cpuNs: 0.3, share: 0.95 },
  pack: { cpuNs: 1.5, share: 0.3 },
};
const FEW_LINES: Guest = {
  plain: PLAIN,
  filter: { cpuNs: 0.3, share: 0.9 },
  pack: { cpuNs: 0.8, share: 0.05 },
};
const RANDOM: Guest = {
  plain: PLAIN,
  filter: { cpuNs: 0.3, share: 1 },
  pack: { cpuNs: 0.9, share: 1 },
};
const REWRITTEN: Guest = {
  plain: PLAIN,
  filter: { cpuNs: 0.3, share: 0.05 },
  pack: { cpuNs: 2.5, share: 0.03 },
};

const LOOPBACK_NS = 1;
const GBIT_10_NS = 0.8;
const GBIT_1_NS = 8.5;
const MBIT_100_NS = 85;
/** What any checkpoint takes. */
const OVERHEAD_MS = 1.5;
const TRIP_MS = 0.2;

class Link {
  readonly choice = new AutoChoice(() => TRIP_MS);
  readonly levels: PackLevel[] = [];
  #now = 1000;

  /** Checkpoints of `bytes` one after the other, and the efforts that they got. */
  checkpoints(count: number, bytes: number, guest: Guest, linkNs: number): PackLevel[] {
    const levels: PackLevel[] = [];
    for (let n = 0; n < count; n++) {
      const level = this.choice.next(false);
      levels.push(level);
      // Every other one is small, as those of real guests differ.
      const plainBytes = n % 2 === 0 ? bytes : bytes / 4;
      const figures = this.#sent(level, plainBytes, guest, false);
      const wireMs = ((figures.sentBytes + figures.deviceBytes) * linkNs) / 1e6;
      this.#now += Math.max(figures.packMs, wireMs) + OVERHEAD_MS + TRIP_MS;
      this.choice.committed(figures, this.#now);
      this.#now += 5;
    }
    return levels;
  }

  /** A full copy in parts of 8 MiB that come at `sourceNs` a byte. */
  fullCopy(parts: number, guest: Guest, linkNs: number, sourceNs = 1): PackLevel[] {
    const levels: PackLevel[] = [];
    let backlogBytes = 0;
    for (let n = 0; n < parts; n++) {
      const level = this.choice.next(true);
      levels.push(level);
      const figures = { ...this.#sent(level, 8 << 20, guest, true), backlogBytes };
      // The memory that may wait is bounded: the source waits for the link.
      const sourceMs = ((8 << 20) * sourceNs) / 1e6 + figures.packMs;
      const mostMs = ((figures.sentBytes + backlogBytes - (32 << 20)) * linkNs) / 1e6;
      const tookMs = Math.max(sourceMs, mostMs);
      backlogBytes = Math.max(0, backlogBytes + figures.sentBytes - (tookMs * 1e6) / linkNs);
      this.#now += tookMs;
      this.choice.part(figures, backlogBytes, this.#now);
    }
    return levels;
  }

  #sent(level: PackLevel, plainBytes: number, guest: Guest, full: boolean): SentFigures {
    const { cpuNs, share } = guest[level];
    return {
      ...{ full, level, plainBytes, sentBytes: plainBytes * share, deviceBytes: 20_000 },
      pages: { data: 0, fill: 0, same: 0, delta: 0 },
      leftOutBytes: level === 'plain' ? 0 : plainBytes * (1 - guest.filter.share),
      ...{ packMs: (plainBytes * cpuNs) / 1e6, fromMs: this.#now, backlogBytes: 0 },
    };
  }
}

/** The effort that most of the last checkpoints got, and how many got another one. */
function settled(levels: readonly PackLevel[]): { level: PackLevel; others: number } {
  const last = levels.slice(-200);
  const level = last.at(-10)!;
  return { level, others: last.filter(other => other !== level).length };
}

const CASES: [string, Guest, number, PackLevel][] = [
  ['text on loopback', TEXT, LOOPBACK_NS, 'plain'],
  ['few lines on loopback', FEW_LINES, LOOPBACK_NS, 'plain'],
  ['few lines at 10 Gbit/s', FEW_LINES, GBIT_10_NS, 'plain'],
  // Packing would cost a tenth less.
  ['text where packing saves little', TEXT, 5.8, 'plain'],
  ['text at 1 Gbit/s', TEXT, GBIT_1_NS, 'pack'],
  ['few lines at 1 Gbit/s', FEW_LINES, GBIT_1_NS, 'pack'],
  ['random at 1 Gbit/s', RANDOM, GBIT_1_NS, 'plain'],
  ['text at 100 Mbit/s', TEXT, MBIT_100_NS, 'pack'],
  ['few lines at 100 Mbit/s', FEW_LINES, MBIT_100_NS, 'pack'],
  ['random at 100 Mbit/s', RANDOM, MBIT_100_NS, 'plain'],
  ['rewritten with the same at 1 Gbit/s', REWRITTEN, GBIT_1_NS, 'filter'],
];

for (const [name, guest, linkNs, expected] of CASES) {
  test(`${name}: ${expected}, found within a few checkpoints and kept`, t => {
    const link = new Link();
    const levels = link.checkpoints(600, 2 << 20, guest, linkNs);
    const { level, others } = settled(levels);
    t.is(level, expected);
    t.true(others <= 4, `${others} of the last 200 were tried otherwise`);
    t.is(levels.slice(20, 60).filter(one => one !== expected).length, 0, levels.join(' '));
  });
}

test('small checkpoints say nothing about the link: their time is not its time', t => {
  const link = new Link();
  t.deepEqual(new Set(link.checkpoints(500, 100 << 10, TEXT, LOOPBACK_NS)), new Set(['plain']));
  t.is(link.choice.linkNs, undefined);
});

test('a full copy finds a slow link in its first parts, and a link that is faster than QEMU not', t => {
  const slow = new Link();
  const levels = slow.fullCopy(12, TEXT, MBIT_100_NS);
  t.is(levels[0], 'plain');
  t.deepEqual(new Set(levels.slice(6)), new Set(['pack']));
  t.is(slow.checkpoints(1, 1 << 20, TEXT, MBIT_100_NS)[0], 'pack');
  const fast = new Link();
  t.deepEqual(new Set(fast.fullCopy(12, TEXT, LOOPBACK_NS, 3)), new Set(['plain']));
});

test('a link that becomes slow is packed for, and one that becomes fast is not any more', t => {
  const link = new Link();
  t.is(settled(link.checkpoints(100, 2 << 20, TEXT, LOOPBACK_NS)).level, 'plain');
  t.is(link.checkpoints(20, 2 << 20, TEXT, MBIT_100_NS).at(-1), 'pack');
  t.is(settled(link.checkpoints(400, 2 << 20, TEXT, LOOPBACK_NS)).level, 'plain');
});

test('a guest that begins to write what can be packed is tried again, less and less often', t => {
  const link = new Link();
  const random = link.checkpoints(1000, 2 << 20, RANDOM, GBIT_1_NS);
  const tries = random.flatMap((level, at) => (level !== 'plain' && at > 20 ? [at] : []));
  t.true(tries.length > 0 && tries.length < 12, tries.join(' '));
  t.is(settled(link.checkpoints(1000, 2 << 20, TEXT, GBIT_1_NS)).level, 'pack');
});
