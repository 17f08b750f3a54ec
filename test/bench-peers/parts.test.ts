import test from 'ava';
import fc from 'fast-check';
import {
  bufferCommand,
  failoverCommands,
  migrationCommands,
  primaryCommands,
  secondaryCommands,
} from '../../bench/peers/colo-plan.ts';
import { gapAt } from '../../bench/peers/kill.ts';
import { Ledger, leadOf } from '../../bench/peers/ledger.ts';
import { PauseMeter } from '../../bench/peers/pauses.ts';
import { kindOf } from '../../bench/peers/rig.ts';
import { medianOf, spreadOf } from '../../bench/peers/samples.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';

const PRIMARY = primaryCommands({ address: '10.78.0.11', runDir: '/run/x' });

function idsOf(commands: readonly { execute: string; arguments: JsonObject }[], execute: string) {
  return commands
    .filter(command => command.execute === execute)
    .map(command => String(command.arguments.id));
}

test('percentiles are samples that occurred, in order, and nothing comes of nothing', t => {
  t.is(spreadOf([]), undefined);
  t.deepEqual(spreadOf([4, 1, 3, 2]), { count: 4, p50: 2, p90: 4, p99: 4, max: 4 });
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  t.deepEqual(spreadOf(hundred), { count: 100, p50: 50, p90: 90, p99: 99, max: 100 });
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true }), { minLength: 1 }), samples => {
      const { p50, p90, p99, max } = spreadOf(samples)!;
      t.true(p50 <= p90 && p90 <= p99 && p99 <= max);
      for (const value of [p50, p90, p99, max]) t.true(samples.includes(value));
    }),
  );
  t.is(medianOf([3, 1, 2]), 2);
  t.is(medianOf([4, 1, 3, 2]), 2.5);
});

test('every filter of the primary finds its device before it is made', t => {
  const chardevs = idsOf(PRIMARY, 'chardev-add');
  const seen = new Set<string>();
  for (const { execute, arguments: args } of PRIMARY) {
    if (execute === 'chardev-add') seen.add(String(args.id));
    const uses = ['outdev', 'indev', 'primary_in', 'secondary_in'].flatMap(key => args[key] ?? []);
    for (const use of uses) t.true(seen.has(String(use)), `${args.id} needs ${use}`);
  }
  t.deepEqual(chardevs, [
    'mirror0',
    'compare1',
    'compare0',
    'compare0-0',
    'compare_out',
    'compare_out0',
  ]);
  t.deepEqual(idsOf(PRIMARY, 'object-add'), ['m0', 'redire0', 'redire1', 'iothread1', 'comp0']);
});

test('the secondary connects to what the primary listens on, without delay', t => {
  const backends = (commands: typeof PRIMARY) =>
    commands
      .filter(({ execute }) => execute === 'chardev-add')
      .map(({ arguments: args }) => (args.backend as { data: Record<string, JsonObject> }).data)
      .filter(({ addr }) => addr!.type === 'inet');
  const listens = backends(PRIMARY);
  const connects = backends(secondaryCommands('10.78.0.11'));
  t.deepEqual(
    connects.map(({ addr }) => addr),
    listens.map(({ addr }) => addr),
  );
  for (const data of [...listens, ...connects]) t.is(data.nodelay as unknown, true);
  t.true(listens.every(({ server }) => (server as unknown) === true));
  t.true(connects.every(({ server }) => (server as unknown) === false));
});

test('delays, intervals and the order of a failover', t => {
  const last = migrationCommands(100).at(-1)!;
  t.is(last.arguments['x-checkpoint-delay'], 100);
  t.is(bufferCommand('f', 25_000).arguments.interval, 25_000);
  t.deepEqual(
    failoverCommands().map(({ execute, arguments: args }) => [execute, args.id]),
    [
      ['x-colo-lost-heartbeat', undefined],
      ['object-del', 'f2'],
      ['object-del', 'f1'],
    ],
  );
});

test('pauses are from STOP to RESUME; one that goes on is not told, nor what was forgotten', t => {
  const meter = new PauseMeter();
  const at = (event: string, ms: number) =>
    meter.see({ event, data: {}, timestamp: { seconds: 5, microseconds: ms * 1000 } });
  at('RESUME', 1);
  at('STOP', 2);
  at('RESUME', 6);
  at('STOP', 10);
  t.deepEqual(meter.take(), [4]);
  t.deepEqual(meter.take(), []);
  at('RESUME', 17);
  t.deepEqual(meter.take(), [7]);
  at('STOP', 20);
  meter.forget();
  at('RESUME', 30);
  t.deepEqual(meter.take(), []);
});

test('the lead is over the best of the others at each percentile, round by round', t => {
  const ledger = new Ledger();
  const add = (variant: string, p50: number, p90: number, p99: number) =>
    ledger.add('e', variant, { p50, p90, p99 });
  add('curling', 3, 4, 5);
  add('colo-100', 10, 20, 40);
  t.is(leadOf(ledger, 'e', ['colo-500'], 0), undefined);
  add('colo-500', 2, 30, 400);
  add('colo-500', 2, 30, 20);
  add('colo-500', 2, 30, 300);
  const others = ['colo-100', 'colo-500', 'colo-20000'];
  t.deepEqual(leadOf(ledger, 'e', others, 0), { 'p50-more': 1, 'p90-lead': 5, 'p99-lead': 8 });
  t.is(leadOf(ledger, 'e', others, 1), undefined);
  t.is(leadOf(ledger, 'other', others, 0), undefined);
});

test('the gap of a kill is the longest silence that reached beyond it', t => {
  const silences = [
    { startMs: 100, durationMs: 500 },
    { startMs: 980, durationMs: 60 },
    { startMs: 1100, durationMs: 30 },
  ];
  t.is(gapAt(silences, 1000), 60);
  t.is(gapAt(silences, 2000), 0);
});

test('every variant has its guest', t => {
  t.deepEqual(['unprotected', 'buffer-25', 'colo-500', 'curling'].map(kindOf), [
    'plain',
    'plain',
    'colo',
    'curling',
  ]);
});
