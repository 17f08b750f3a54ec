/** Lines that others can cause: how many are said, and that those left out are counted. */
import test from 'ava';
import { LimitedLog } from '../../common/limited-log.ts';
import type { Logger } from '../../common/log.ts';
import { suppressedLines } from '../../common/log-limit.ts';

test('five lines in ten seconds, and then how many were left out', t => {
  const said: unknown[] = [];
  const note = (level: string) => (facts: object, text: string) => said.push([level, facts, text]);
  const log = { info: note('info'), warn: note('warn'), error: note('error') } as unknown as Logger;
  let now = 1_000;
  const before = suppressedLines();
  const lines = new LimitedLog(log, { now: () => now });
  for (let mac = 0; mac < 1_005; mac++) lines.say('warn', { mac }, 'a new address');
  t.is(said.length, 5);
  t.deepEqual(said[4], ['warn', { mac: 4 }, 'a new address']);
  t.is(suppressedLines() - before, 1_000);
  now += 9_999;
  lines.say('warn', { mac: -1 }, 'too early');
  t.is(said.length, 5);
  now += 1;
  lines.say('info', {}, 'another kind counts with them');
  lines.say('error', { code: 'X' }, 'nothing was left out since');
  t.deepEqual(said.slice(5), [
    ['info', { unsaid: 1_001 }, 'another kind counts with them'],
    ['error', { code: 'X' }, 'nothing was left out since'],
  ]);
  const few = new LimitedLog(log, { now: () => now, linesMax: 1 });
  few.say('info', {}, 'one');
  few.say('info', {}, 'two');
  t.is(said.length, 8);
});
