/** How machines share the replication link: what is decided, and the link that carries it out. */
import test from 'ava';
import { BYTES_MIN, HeavyWindow } from '../../coordinator/replication/heavy-window.ts';
import type { Link } from '../../coordinator/replication/link.ts';
import {
  clearSlot,
  LIGHT_BYTES_MAX,
  LinkShare,
  linkShareMemory,
  PRESENCE,
  TURN_KIB,
  YIELD_MS,
} from '../../coordinator/replication/link-share.ts';
import { SharedLink } from '../../coordinator/replication/shared-link.ts';

const WINDOW = 256 << 10;

function shares(count: number): LinkShare[] {
  const memory = linkShareMemory();
  return Array.from({ length: count }, (_, slot) => new LinkShare(memory, slot));
}

test('heavy traffic waits for the epoch of another machine, and gets its share all the same', t => {
  const [big, small] = shares(2) as [LinkShare, LinkShare];
  big.presence = PRESENCE.heavy;
  t.false(big.shared);
  t.true(big.mayHeavy(WINDOW, 0), 'alone');
  small.presence = PRESENCE.protected;
  t.true(big.shared);
  t.true(big.mayHeavy(WINDOW, 1), 'between epochs');

  small.presence = PRESENCE.epoch;
  let sent = 0;
  const sentAt: number[] = [];
  for (let now = 10; now < 10 + 4 * YIELD_MS; now++) {
    while (big.mayHeavy(WINDOW, now)) {
      big.sentHeavy(WINDOW / 4);
      sent += WINDOW / 4;
      sentAt.push(now);
    }
  }
  t.is(sentAt[0], 10 + YIELD_MS);
  t.true(sent >= 2 * WINDOW && sent <= 4 * WINDOW, `${sent} bytes in the time of four`);
  t.true(big.counters.yields >= 2);

  small.presence = PRESENCE.protected;
  t.true(big.mayHeavy(WINDOW, 100));
  t.false(big.mayHeavy(0, 100), 'nothing is sent beyond the window');
});

test('heavy machines take turns, whatever they sent before, and nobody waits for one that cannot send', t => {
  const [first, second, third] = shares(3) as [LinkShare, LinkShare, LinkShare];
  first.presence = PRESENCE.heavy;
  const turn = TURN_KIB << 10;
  for (let i = 0; i < 100; i++) {
    t.true(first.mayHeavy(WINDOW, i));
    first.sentHeavy(turn);
  }
  second.presence = PRESENCE.heavy;
  const sent = new Map([
    [first, 0],
    [second, 0],
  ]);
  // The first one asks ten times as often.
  for (let i = 0; i < 2_000; i++) {
    const share = i % 11 === 0 ? second : first;
    if (!share.mayHeavy(WINDOW, i)) continue;
    share.sentHeavy(64 << 10);
    sent.set(share, sent.get(share)! + (64 << 10));
  }
  const [a, b] = [...sent.values()] as [number, number];
  t.true(Math.abs(a - b) <= 2 * turn + (64 << 10), `${a} and ${b} bytes`);
  t.true(first.counters.turns > 10);

  // Its backup takes nothing more.
  t.false(second.mayHeavy(0, 3_000));
  for (let i = 0; i < 50; i++) {
    t.true(first.mayHeavy(WINDOW, 3_000 + i));
    first.sentHeavy(turn);
  }
  // Who comes late has no claim on what was sent before.
  first.mayHeavy(WINDOW, 4_000);
  third.presence = PRESENCE.heavy;
  t.true(third.mayHeavy(WINDOW, 4_000));
  t.true(first.mayHeavy(WINDOW, 4_000));
});

test('a machine whose thread has ended keeps nobody waiting', t => {
  const memory = linkShareMemory();
  const [big, dead] = [new LinkShare(memory, 0), new LinkShare(memory, 1)];
  dead.presence = PRESENCE.epoch;
  big.presence = PRESENCE.heavy;
  t.false(big.mayHeavy(WINDOW, 0));
  clearSlot(memory, 1);
  t.true(big.mayHeavy(WINDOW, 0));
  t.false(big.shared);
});

for (const [name, bytesPerMs] of Object.entries({ '100 Mbit/s': 12_500, '10 Gbit/s': 1_250_000 })) {
  test(`the window keeps a link of ${name} busy with a short queue in front of it`, t => {
    const window = new HeavyWindow();
    let queued = 0;
    let limited = false;
    let idle = 0;
    let most = 0;
    for (let ms = 0; ms < 2_000; ms++) {
      queued = Math.max(0, queued - bytesPerMs);
      if (ms >= 1_000 && queued === 0) idle++;
      queued += window.look(queued, limited);
      limited = true;
      if (ms >= 1_000) most = Math.max(most, queued);
    }
    t.true(idle <= 20, `idle in ${idle} of 1000 looks`);
    t.true(most <= Math.max(4 * bytesPerMs, 2 * BYTES_MIN), `${most} bytes in front`);
  });
}

/** A link whose kernel takes what it is given and acknowledges when it is told to. */
class Wire implements Link {
  readonly written: Buffer[] = [];
  unacked = 0;
  destroyed = false;
  write(buffers: readonly Buffer[], sent?: () => void): void {
    for (const buffer of buffers) {
      this.written.push(buffer);
      this.unacked += buffer.length;
    }
    sent?.();
  }
  get bytes(): number {
    return this.written.reduce((sum, { length }) => sum + length, 0);
  }
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
  pause(): void {}
  resume(): void {}
}

function shared(share: LinkShare) {
  const wire = new Wire();
  const clock = { now: () => performance.now() };
  return { wire, link: new SharedLink({ link: wire, share, clock, unacked: () => wire.unacked }) };
}

const later = () => new Promise(resolve => setTimeout(resolve, 5));

test('a full copy is handed on piece by piece, in order, and what comes behind it stays behind it', async t => {
  const [own, other] = shares(2) as [LinkShare, LinkShare];
  other.presence = PRESENCE.protected;
  const { wire, link } = shared(own);
  link.traffic('full');
  t.is(own.presence, PRESENCE.heavy);
  const sent: number[] = [];
  const chunks = Array.from({ length: 8 }, (_, index) => Buffer.alloc(WINDOW, index));
  for (const [index, chunk] of chunks.entries()) link.write([chunk], () => sent.push(index));
  t.true(wire.bytes <= 2 * WINDOW, `${wire.bytes} bytes at once`);
  for (let i = 0; i < 100 && sent.length < 8; i++) {
    wire.unacked = 0;
    await later();
  }
  t.deepEqual(sent, [0, 1, 2, 3, 4, 5, 6, 7]);
  t.true(Buffer.concat(wire.written).equals(Buffer.concat(chunks)));
  link.traffic('idle');
  t.is(own.presence, PRESENCE.protected);
  link.destroy();
  t.is(own.presence, PRESENCE.none);
});

test('an epoch goes at once until it is no light one, and a link that is gone forgets nothing', async t => {
  const [own, other] = shares(2) as [LinkShare, LinkShare];
  other.presence = PRESENCE.epoch;
  const { wire, link } = shared(own);
  link.traffic('epoch');
  t.is(own.presence, PRESENCE.epoch);
  link.write([Buffer.alloc(LIGHT_BYTES_MAX)]);
  t.is(wire.bytes, LIGHT_BYTES_MAX);
  wire.unacked = 16 << 20;
  let sent = 0;
  for (let i = 0; i < 3; i++) link.write([Buffer.alloc(1_000)], () => sent++);
  t.is(own.presence, PRESENCE.heavy);
  t.is(wire.bytes, LIGHT_BYTES_MAX);
  await later();
  t.is(sent, 0);
  link.destroy();
  t.is(sent, 3);
  t.true(wire.destroyed);
  await later();
  t.is(wire.bytes, LIGHT_BYTES_MAX);
});
