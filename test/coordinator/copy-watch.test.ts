/** What an operator is told about a full copy, and when one is given up: against a QEMU that is a double. */
import test, { type ExecutionContext } from 'ava';
import type { CurlingError } from '../../common/errors.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { CopyWatch } from '../../coordinator/copy-watch.ts';
import {
  type CopyProgress,
  copyText,
  isLosing,
  PASSES_MAX,
  queryCopy,
} from '../../coordinator/qemu/copy-progress.ts';
import { FakeQemu } from '../qemu/fake-qemu.ts';
import { until } from './bench.ts';

const MIB = 2 ** 20;
const PASS_5: CopyProgress = {
  pass: 5,
  leftBytes: 188 * MIB,
  totalBytes: 512 * MIB,
  writtenBytesPerS: 85 * MIB,
  sentBytesPerS: 104 * MIB,
  throttlePercent: 0,
};

/** As query-migrate has it. */
function migration(pass: number, status = 'active'): JsonObject {
  const ram = { 'dirty-sync-count': pass, remaining: 40 * MIB, total: 512 * MIB, mbps: 800 };
  return { status, ram: { ...ram, 'dirty-pages-rate': 25_600, 'page-size': 4096 } };
}

const texts: [string, Partial<CopyProgress>, number, RegExp][] = [
  ['the first pass', { pass: 1 }, 0, /pass 1: 188 of 512 MiB are left$/],
  ['a guest that is caught up with', { writtenBytesPerS: 40 * MIB }, 0, /104 MiB\/s are sent$/],
  ['the second pass', { pass: 2 }, 0, /104 MiB\/s are sent$/],
  ['no throttle', {}, 0, /does not come to an end like this; let.*--copy-throttle.*--copy-pause/],
  [
    'a throttle that grows',
    { throttlePercent: 40 },
    80,
    /slowed by 40 %: .*will be slowed further/,
  ],
  ['a throttle at its end', { throttlePercent: 80 }, 80, /slowed by 80 %: .*let.*--copy-throttle/],
];
for (const [what, changes, throttleMax, expected] of texts) {
  test(`the words for a copy: ${what}`, t => {
    const progress = { ...PASS_5, ...changes };
    t.regex(copyText(progress, throttleMax), expected);
    t.is(isLosing(progress), /does not come to an end/.test(copyText(progress, throttleMax)));
  });
}

interface Watched {
  qemu: FakeQemu;
  watch: CopyWatch;
  told: [string, boolean][];
  errors: CurlingError[];
  over: { copying: boolean };
}

async function watched(t: ExecutionContext): Promise<Watched> {
  const qemu = await new FakeQemu().start();
  t.teardown(() => qemu.remove());
  const told: [string, boolean][] = [];
  const errors: CurlingError[] = [];
  const over = { copying: true };
  const watch = new CopyWatch({
    qmp: qemu.qmp,
    throttleMax: 0,
    goesOn: () => over.copying,
    told: (text, losing) => told.push([text, losing]),
    hopeless: error => errors.push(error),
  });
  t.teardown(() => watch.end());
  return { qemu, watch, told, errors, over };
}

test('a copy is told of once in each pass, and not any more when it is over', async t => {
  const { qemu, watch, told, errors, over } = await watched(t);
  const asked = () => qemu.said.filter(([name]) => name === 'query-migrate').length;
  qemu.migration = migration(0, 'setup');
  await until('a question', () => asked() > 0);
  t.is(watch.progress, undefined);
  qemu.migration = migration(2);
  await until('two more', () => asked() >= 3);
  qemu.migration = migration(3);
  await until('pass 3', () => watch.progress?.pass === 3);
  t.deepEqual(
    told.map(([, losing]) => losing),
    [false, true],
  );
  t.is(watch.progress!.writtenBytesPerS, 100 * MIB);
  over.copying = false;
  t.is(watch.progress, undefined);
  const before = asked();
  qemu.migration = migration(PASSES_MAX + 1);
  await new Promise(resolve => setTimeout(resolve, 1_200));
  t.true(asked() <= before + 1);
  t.deepEqual(errors, []);
});

test('a copy of too many passes is given up, with the reason', async t => {
  const { qemu, told, errors } = await watched(t);
  qemu.migration = migration(PASSES_MAX);
  await until('a pass', () => told.length > 0);
  qemu.migration = migration(PASSES_MAX + 1);
  await until('the end', () => errors.length > 0);
  t.is(errors[0]!.code, 'CURLING_COPY');
  t.regex(errors[0]!.message, /after 50 passes .*writes 100 MiB\/s, 95 MiB\/s are sent/);
});

test('a QEMU that says nothing of a copy has no progress', async t => {
  const { qemu } = await watched(t);
  for (const nothing of [{}, { status: 'active' }, migration(4, 'colo')]) {
    qemu.migration = nothing;
    t.is(await queryCopy(qemu.qmp), undefined);
  }
  qemu.migration = { status: 'active', ram: { mbps: 'x' } };
  t.is((await queryCopy(qemu.qmp))!.sentBytesPerS, 0);
});
