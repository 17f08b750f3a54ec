/** The pure parts of a process of several machines: its list, its back-off, its metrics, its first page. */
import test from 'ava';
import type { CoordinatorConfig } from '../../coordinator/config.ts';
import { BackOff, STEADY_MS, WAIT_MS_MAX, WAIT_MS_MIN } from '../../coordinator/many/back-off.ts';
import { settingsChanged } from '../../coordinator/many/changed-settings.ts';
import { changeOf } from '../../coordinator/many/machine-list.ts';
import { mergedText } from '../../coordinator/many/merged-metrics.ts';
import { overviewHtml } from '../../coordinator/many/overview.ts';
import { SharedGateway } from '../../coordinator/many/shared-gateway.ts';

test('a list that is read again begins, ends and keeps machines, by name', t => {
  t.deepEqual(changeOf(['a', 'b', 'c'], ['d', 'c', 'a']), {
    begin: ['d'],
    end: ['b'],
    keep: ['a', 'c'],
  });
  t.deepEqual(changeOf([], ['b', 'a']), { begin: ['a', 'b'], end: [], keep: [] });
});

test('who ends again and again waits twice as long each time, and who has worked begins anew', t => {
  const backOff = new BackOff();
  const waits: number[] = [];
  for (let now = 0, times = 0; times < 8; times++) {
    backOff.started(now);
    const waitMs = backOff.ended(now + 10);
    waits.push(waitMs);
    now += 10 + waitMs;
  }
  t.deepEqual(waits.slice(0, 3), [WAIT_MS_MIN, 2 * WAIT_MS_MIN, 4 * WAIT_MS_MIN]);
  t.is(waits.at(-1), WAIT_MS_MAX);
  backOff.started(1e6);
  t.is(backOff.ended(1e6 + STEADY_MS - 1), WAIT_MS_MAX);
  backOff.started(2e6);
  t.is(backOff.ended(2e6 + STEADY_MS), WAIT_MS_MIN);
});

test('a metric of several machines stands there once, with the samples of all', async t => {
  const metric = (vm: string, value: number) => ({
    ...{ name: 'curling_x_total', help: 'X.', type: 'counter', aggregator: 'sum' },
    values: [{ labels: { vm }, value }],
  });
  const text = await mergedText([[metric('a', 1)], [], [metric('b', 2)]]);
  t.is(
    text.trim(),
    [
      '# HELP curling_x_total X.',
      '# TYPE curling_x_total counter',
      'curling_x_total{vm="a"} 1',
      'curling_x_total{vm="b"} 2',
    ].join('\n'),
  );
});

test('what a machine does not take over is named, and its keys and log are no part of it', t => {
  const running = { beat: 1, logLevel: 'info', peers: [{ host: 'b', port: 1 }], http: undefined };
  const read = { beat: 2, logLevel: 'debug', peers: [{ host: 'b', port: 1 }], http: undefined };
  const as = (config: object) => config as unknown as CoordinatorConfig;
  t.deepEqual(settingsChanged(as(running), as(read)), ['beat']);
});

test('the first page escapes what machines say, and links only those that answer', t => {
  const said = { vm: 'blue', thread: 'waiting', summary: '<b>ended</b>', restarts: 3 } as const;
  const page = overviewHtml([{ ...said, status: null }], new Date(0));
  t.regex(page, /<td>blue<\/td><td class="word bad">waiting<\/td><td>&lt;b&gt;ended/);
  t.notRegex(page, /href="vm\//);
});

test('a gateway whose answers come from another thread is reachable for as long as they are fresh', t => {
  const shared = new SharedArrayBuffer(5 * 8);
  const words = new BigInt64Array(shared);
  let now = 5_000;
  let asked = 0;
  const gateway = new SharedGateway(shared, ['192.0.2.1'], { now: () => now }, () => asked++);
  t.teardown(() => gateway.close());
  t.false(gateway.reachable);
  t.is(gateway.text, 'gateway 192.0.2.1 does not answer');
  words.set([BigInt(4_500_000), 7n, 6n, 0n, 0n]);
  t.true(gateway.reachable);
  t.deepEqual(gateway.counters, { sent: 7, answered: 6, strange: 0, forgotten: 0 });
  now = 5_501;
  t.false(gateway.reachable, 'a main thread that says nothing more');
  gateway.probe();
  t.is(asked, 1);
});
