import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { bytesText } from '../../common/quantities.ts';
import { headline } from '../../coordinator/headline.ts';
import type { CoordinatorStatus, DrillRecord } from '../../coordinator/status.ts';
import { checkpointText } from '../../ctl/checkpoint.ts';
import { painted, plain } from '../../ctl/color.ts';
import { drillText } from '../../ctl/drill.ts';
import type { Answer } from '../../ctl/sockets.ts';
import * as view from '../../ctl/view.ts';
import { statusExit } from '../../ctl/view.ts';
import { status } from './documents.ts';

const NOTHING = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };

/** A second after the document's last commit. */
const NOW = { paint: plain, nowMs: Date.parse('2026-11-23T06:51:12.000Z'), verbose: false };
const statusLines = (document: CoordinatorStatus) => view.statusLines(document, NOW);
const statusScreen = (answers: Answer[]) => view.statusScreen(answers, NOW);

const SOLO = status({ vm: 'db', state: 'SOLO', protected: false, peer: null, reason: 'no backup' });

test('the status of a protected machine says what an operator looks for', t => {
  const text = statusLines(status()).join('\n');
  t.regex(text, /^web\s+primary on kvm1 → kvm2\s+PROTECTED\s+epoch 18231 {3}lag 1$/m);
  t.regex(text, /tap0 on br0: hold, 37 frames \/ 41\.0 KiB held \(limit 64\.0 MiB\)$/m);
  t.regex(text, /^ {2}added delay {2}p50 8\.4 ms {2}p99 21\.0 ms$/m);
  t.regex(text, /last commit 1 s ago/);
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

test('a checkpoint that was asked for is told with where it is', t => {
  const done = { epoch: 18231, waitMs: 0.12, pauseMs: 2.04, commitMs: 0.9 };
  const where = 'checkpoint 18231 is committed on kvm2';
  const times = 'waited 0.1 ms, pause 2.0 ms, committed 0.9 ms later';
  t.is(checkpointText(status({ peer: 'kvm2' }), done), `web: ${where} (${times})`);
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

test('twenty machines fit on a screen, and of those in trouble the reason is told', t => {
  const many = Array.from({ length: 20 }, (_, at) => ({
    socket: String(at),
    status: at === 7 ? SOLO : status({ vm: `m${at}` }),
  }));
  const lines = statusScreen(many).trimEnd().split('\n');
  t.is(lines.length, 21);
  t.regex(lines[0]!, /^db /);
  t.regex(lines[1]!, /no backup$/);
  const whole = view.statusScreen(many, { ...NOW, verbose: true }).split('\n');
  t.true(whole.length > 100);
});

test('colours say what the words say, and only when they are asked for', t => {
  const colours = { ...NOW, paint: painted };
  const red = view.statusScreen(
    [{ socket: 'a', status: status({ state: 'HALT', protected: false }) }],
    colours,
  );
  t.true(red.includes('\u001b[31mFENCED'), JSON.stringify(red));
  const green = view.statusScreen([{ socket: 'a', status: status() }], colours);
  t.true(green.includes('\u001b[32mPROTECTED'));
  t.false(statusScreen([{ socket: 'a', status: status() }]).includes('\u001b'));
});

test('the age of a commit has the unit that fits it', t => {
  const ago = (ms: number) => view.agoText(new Date(1e12 - ms).toISOString(), 1e12);
  t.deepEqual([18, 4_000, 300_000, 8e6].map(ago), ['18 ms ago', '4 s ago', '5 min ago', '2 h ago']);
  t.is(ago(-5_000), '0 ms ago');
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
