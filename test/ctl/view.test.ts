import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { bytesText } from '../../common/quantities.ts';
import { headline } from '../../coordinator/headline.ts';
import type { DrillRecord } from '../../coordinator/status.ts';
import { drillText } from '../../ctl/drill.ts';
import { statusExit, statusLines, statusScreen } from '../../ctl/view.ts';
import { status } from './documents.ts';

const NOTHING = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };

const SOLO = status({ vm: 'db', state: 'SOLO', protected: false, peer: null, reason: 'no backup' });

test('the status of a protected machine says what an operator looks for', t => {
  const text = statusLines(status()).join('\n');
  t.regex(text, /^web\s+primary on kvm1 → kvm2\s+PROTECTED\s+epoch 18231 {3}lag 1$/m);
  t.regex(text, /hold, 37 frames \/ 41\.0 KiB held \(limit 64\.0 MiB\)/);
  t.regex(text, /pause p50 2\.1 ms {2}p99 4\.1 ms/);
  t.regex(text, /witness reachable/);
});

test('the last drill is told, and one without an answer is no failure', t => {
  const drill = {
    ...{ at: '2026-11-23T06:40:11.000Z', ok: true, epoch: 18230, loadMs: 9, delayMsMax: 4 },
    ...{ code: null, reason: 'checkpoint 18230 was loaded in 9.0 ms' },
  };
  const line = (change: Partial<DrillRecord>) =>
    statusLines(status({ drill: { ...drill, ...change } })).find(text => /^ {2}drill/.test(text));
  t.is(line({}), `  drill        ${drill.at} went well: ${drill.reason}`);
  t.regex(line({ ok: false, code: 'CURLING_QEMU_RESUME' })!, /Z FAILED: /);
  t.regex(line({ ok: false, code: 'CURLING_DRILL' })!, /Z gave no answer: /);
  const done = { loaded: true, epoch: 7, startMs: 200, loadMs: 9.04, delayMsMax: 4 } as const;
  t.regex(
    drillText(status({ host: 'kvm2' }), done),
    /^web: checkpoint 7 loads on kvm2.*9\.0 ms.*4\.0 ms/s,
  );
});

test('the worst machine comes first, a coordinator that does not answer before all', t => {
  const error = new CurlingError('CURLING_CONNECT', 'nobody there');
  const screen = statusScreen([
    { socket: 'a', status: status() },
    { socket: 'b', status: SOLO },
    { socket: 'c', error },
  ]);
  const places = ['c: no answer', 'db ', 'web '].map(word => screen.indexOf(word));
  t.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
  );
  t.true(places.every(place => place >= 0));
});

test('the exit status tells protected, unprotected, absent and silent apart', t => {
  const error = new CurlingError('CURLING_CONNECT', 'nobody there');
  t.is(statusExit([{ socket: 'a', status: status() }]), 0);
  t.is(statusExit([{ socket: 'a', status: status({ state: 'BACK', protected: false }) }]), 0);
  t.is(
    statusExit([
      { socket: 'a', status: status() },
      { socket: 'b', status: SOLO },
    ]),
    1,
  );
  t.is(statusExit([]), 3);
  t.is(
    statusExit([
      { socket: 'a', status: status() },
      { socket: 'b', error },
    ]),
    4,
  );
});

test('every state has a word, and only a pair ranks as well', t => {
  const words = ['PROT', 'PRES', 'SOLO', 'SYNC', 'SRES', 'BACK', 'FROZ', 'HALT', 'JOIN'].map(
    state => headline(status({ state, protected: state === 'PROT' })),
  );
  t.deepEqual(
    words.filter(({ rank }) => rank === 3).map(({ word }) => word),
    ['PROTECTED', 'STANDING BY'],
  );
});

test('nothing measured is a dash, sizes have binary units', t => {
  const empty = { ...status().checkpoint, pauseMs: NOTHING };
  t.notRegex(statusLines(status({ checkpoint: empty })).join('\n'), /pause/);
  t.deepEqual([0, 1023, 1024, 1536, 2 ** 20, 150 * 2 ** 30].map(bytesText), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '1.0 MiB',
    '150 GiB',
  ]);
});
