import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { REPOSITORY } from '../../lab/paths.ts';
import { procText } from '../../lab/processes.ts';
import { until } from '../coordinator/bench.ts';
import { runAva } from './ava.ts';
import type { TapTest } from './tap.ts';

/** proc(5), stat: field 41; behind the name come the third and the rest. */
const POLICY = 41 - 3;
const [NORMAL, IDLE] = ['0', '5'];

function policy(pid: string): string | undefined {
  return procText(Number(pid), 'stat').split(') ').at(-1)?.split(' ')[POLICY];
}

/** The processes that this one started. */
function children(): string[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
}

test('what runs in the background takes only idle processors, until it is needed', async t => {
  const tests: TapTest[] = [];
  const needed = new EventEmitter();
  const ended = runAva({
    repository: REPOSITORY,
    files: ['test/wire/identity.test.ts'],
    inBackgroundUntil: once(needed, 'now'),
    onTest: each => tests.push(each),
  });
  const idle = () => children().find(pid => policy(pid) === IDLE);
  await until('it is idle', () => idle() !== undefined);
  const ava = idle()!;
  needed.emit('now');
  await until('it is like all others', () => policy(ava) !== IDLE);
  t.is(policy(ava), NORMAL);
  await ended;
  t.true(tests.length > 0);
  t.deepEqual(
    tests.filter(({ outcome }) => outcome !== 'passed'),
    [],
  );
});
