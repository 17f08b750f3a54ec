import test from 'ava';
import type { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import {
  FixedChoice,
  type PackChoice,
  type PackLevel,
  type SentFigures,
} from '../../coordinator/packing/choice.ts';
import { Outlet, type OutletLink } from '../../coordinator/packing/outlet.ts';
import { chunkOf } from '../replication/fixtures.ts';
import { LAYOUT } from '../store/model.ts';
import { LZ4 } from './packed-guest.ts';

/** A session that says what it was told, and turns that come when they are asked for. */
class Rig {
  readonly said: string[] = [];
  readonly turns: (() => void)[] = [];
  state: OutletLink['state'] = 'ready';
  window = true;
  now = 0;
  readonly outlet: Outlet;

  constructor(choice: PackChoice, packs = true) {
    const say = (text: string) => void this.said.push(text);
    const rig = this;
    const link: OutletLink = {
      get state() {
        return rig.state;
      },
      get window() {
        return rig.window;
      },
      beginFull: (generation, epoch) => say(`full ${generation} ${epoch}`),
      beginCheckpoint: epoch => say(`begin ${epoch}`),
      chunk: (chunk, sent) => {
        say(`pages ${chunk.count}`);
        sent();
      },
      packed: (_, pages, sent) => {
        say(`packed ${pages}`);
        sent();
      },
      device: device => say(`device ${device.length}`),
      devicePacked: () => say('device packed'),
      commit: () => say('commit'),
    };
    this.outlet = new Outlet({
      link,
      clock: { now: () => this.now++ },
      lz4: packs ? LZ4 : undefined,
      choice,
      windowOpen: () => say('window'),
      later: turn => void this.turns.push(turn),
    });
  }

  checkpoint(epoch: number, chunks: readonly PageChunk[]): void {
    if (epoch === 1) this.outlet.beginFull(7, 1, LAYOUT);
    else this.outlet.beginCheckpoint(epoch);
    for (const chunk of chunks) this.outlet.chunk(chunk, () => this.said.push('sent'));
    this.outlet.device(Buffer.alloc(9));
    this.outlet.commit();
  }

  turn(): void {
    this.turns.shift()!();
  }
}

const chunk = (pages: number) =>
  chunkOf(Array.from({ length: pages }, (_, n) => ({ block: 1, page: n % 40, byte: 1 })));

test('without packing nothing waits', t => {
  for (const rig of [new Rig(new FixedChoice('plain')), new Rig(new FixedChoice('pack'), false)]) {
    rig.checkpoint(1, [chunk(200), chunk(200)]);
    rig.checkpoint(2, [chunk(200), chunk(200)]);
    t.deepEqual(rig.said, [
      ...['full 7 1', 'pages 200', 'sent', 'pages 200', 'sent', 'device 9', 'commit'],
      ...['begin 2', 'pages 200', 'sent', 'pages 200', 'sent', 'device 9', 'commit'],
    ]);
    t.is(rig.turns.length, 0);
    t.false(rig.outlet.packs);
  }
});

test('packing takes turns, what follows waits in its order, and the window is closed meanwhile', t => {
  const rig = new Rig(new FixedChoice('pack'));
  rig.checkpoint(1, []);
  rig.said.length = 0;
  rig.checkpoint(2, [chunk(200), chunk(100), chunk(200), chunk(200)]);
  t.deepEqual(rig.said, ['begin 2', 'packed 200', 'sent', 'packed 100', 'sent']);
  t.true(rig.outlet.packs);
  t.false(rig.outlet.window);
  rig.turn();
  t.deepEqual(rig.said.slice(5), [
    'packed 200',
    'sent',
    'packed 200',
    'sent',
    'device packed',
    'commit',
    'window',
  ]);
  t.true(rig.outlet.window);
  rig.turn();
  t.is(rig.turns.length, 0);
  // The next one has a whole turn again.
  rig.checkpoint(3, [chunk(200)]);
  t.deepEqual(rig.said.slice(-3), ['sent', 'device packed', 'commit']);
});

test('a session that has ended gets nothing packed, and gives its chunks back', t => {
  const rig = new Rig(new FixedChoice('pack'));
  rig.checkpoint(1, [chunk(300), chunk(300)]);
  rig.state = 'closed';
  rig.said.length = 0;
  while (rig.turns.length > 0) rig.turn();
  t.deepEqual(rig.said.slice(0, 2), ['pages 300', 'sent']);
});

test('the effort is chosen for each checkpoint, for parts of a full copy, and told what came of it', t => {
  const levels: PackLevel[] = ['plain', 'filter', 'pack', 'plain', 'pack'];
  const asked: boolean[] = [];
  const told: [string, SentFigures][] = [];
  const rig = new Rig({
    next: full => {
      asked.push(full);
      return levels.shift()!;
    },
    part: figures => void told.push(['part', figures]),
    committed: figures => void told.push(['committed', figures]),
  });
  const large = Array.from({ length: 8 }, () => chunk(256));
  rig.checkpoint(1, [...large, chunk(1)]);
  while (rig.turns.length > 0) rig.turn();
  rig.checkpoint(2, [chunk(2)]);
  rig.checkpoint(3, [chunk(2)]);
  t.deepEqual(asked, [true, true, false, false]);
  t.deepEqual(rig.said.filter(text => /^p/.test(text)).slice(-3), [
    'packed 1',
    'packed 2',
    'pages 2',
  ]);
  t.is(rig.outlet.committed(2).length, 2);
  rig.outlet.committed(3);
  t.deepEqual(
    told.map(([what, { level, plainBytes }]) => [what, level, plainBytes]),
    [
      ['part', 'plain', 8 * 256 * 4104],
      ['committed', 'filter', 4104],
      ['committed', 'pack', 2 * 4104],
      ['committed', 'plain', 2 * 4104],
    ],
  );
  const [, packed] = told[2]!;
  t.true(packed.sentBytes < 300 && packed.packMs > 0);
  t.true(packed.deviceBytes > 9, 'nine bytes become no fewer');
});
