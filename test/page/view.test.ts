import fs from 'node:fs';
import test from 'ava';
import { HOST_STATES } from '../../coordinator/arbitration/host-state.ts';
import { EventLog } from '../../coordinator/event-log.ts';
import { ADVICE, adviceFor } from '../../coordinator/page/advice.ts';
import { durationText, markdownMarkup, msText } from '../../coordinator/page/texts.ts';
import { frameOf, pageHtml, partsOf, type Shown } from '../../coordinator/page/view.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { status } from '../ctl/documents.ts';
import { section } from '../docs/markdown.ts';

const EVIL = `<img src=x onerror=alert(1)>"'&</script><script>alert(2)</script>`;
const TIMES = { count: 9, p50: 2.1, p90: 3, p99: 4.1, max: 1234 };

function shown(change: Partial<CoordinatorStatus> = {}, events = new EventLog()): Shown {
  const now = new Date('2026-11-23T06:45:14.000Z');
  return { status: status(change), delay: TIMES, events: events.events, now };
}

/** What a reader sees: without tags, on one line. */
function seen(html: string): string {
  return html
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

test('whatever comes from a peer or an operator is escaped, everywhere', t => {
  const events = new EventLog();
  events.take(EVIL, { reason: EVIL }, new Date());
  events.take('STATE_CHANGE', { from: EVIL, to: EVIL }, new Date());
  const failover = {
    ...{ vm: EVIL, from: EVIL, to: EVIL, generation: 3, epoch: 7, reason: EVIL, at: EVIL },
    ...{ silentMs: 1, decisionMs: 2, resumeMs: 3 },
  };
  const page = pageHtml(
    shown(
      {
        ...{ vm: EVIL, host: EVIL, peer: EVIL, reason: EVIL, since: EVIL, state: EVIL },
        ...{ protected: false, warnings: [EVIL], failovers: [failover] },
        unprotected: { since: EVIL, why: EVIL },
        proxy: { ...status().proxy, state: EVIL, taps: [EVIL], bridge: EVIL },
        witness: { reachable: true, store: EVIL },
        gateway: { addresses: [EVIL], reachable: true },
      },
      events,
    ),
  );
  t.false(page.includes('<img'));
  t.true(page.split('&lt;img').length > 15);
  const scripts = [...page.matchAll(/<script[^>]*>/g)].map(match => match[0]);
  t.true(scripts.every(script => /^<script src="[a-z]+\.js" defer>$/.test(script)));
  t.false(
    / (?:on[a-z]+|style)=/.test(page.replaceAll(/&lt;.*?&gt;/g, '')),
    'the policy forbids it',
  );
});

test('a long reason is cut', t => {
  const { state } = partsOf(shown({ reason: 'why '.repeat(10_000) }));
  t.true(state.html.length < 2_000);
});

test('the page says in words what is, what it means, and what to do', t => {
  const good = partsOf(shown());
  t.regex(seen(good.state.html), /PROTECTED/);
  t.is(seen(good.advice.html), 'What it means all is well What to do nothing');
  t.regex(seen(good.since.html), /since 2026-11-23 06:40:11 UTC , for 5 min 3 s/);
  t.is(frameOf(shown()).title, 'PROTECTED: web on kvm1');

  const unprotected = { since: '2026-11-23T05:40:14.000Z', why: 'lost its backup kvm2: silent' };
  const alone = { state: 'SOLO', protected: false, peer: null, unprotected } as const;
  const bad = partsOf(shown(alone));
  t.regex(seen(bad.state.html), /! UNPROTECTED/);
  t.regex(seen(bad.since.html), /05:40:14 UTC , for 1 h 5 min : lost its backup kvm2: silent/);
  t.regex(seen(bad.advice.html), /What to do start or repair the backup/);
  t.regex(seen(bad.pair.html), /kvm1 runs the guest this host .* nobody no backup/);
  t.is(frameOf(shown(alone)).tone, 'bad');

  const back = { state: 'BACK', protected: false, role: 'backup' } as const;
  const standing = partsOf(shown(back));
  t.regex(seen(standing.state.html), /STANDING BY/);
  t.regex(seen(standing.pair.html), /^kvm2 runs the guest .* kvm1 holds its copy this host$/);
});

test('a witness or a proxy that does not answer is a warning, whatever the state', t => {
  const proxy = { ...status().proxy, connected: false, state: 'not there', taps: [] };
  const { warnings } = partsOf(shown({ proxy, witness: { reachable: false, store: null } }));
  t.regex(warnings.html, /the proxy of this host does not answer/);
  t.regex(warnings.html, /the witness does not answer/);
});

test('a failover has its times, each with a unit', t => {
  const record = {
    ...{ vm: 'web', from: 'kvm2', to: 'kvm1', generation: 3, epoch: 18_231, reason: 'silent' },
    ...{ at: '2026-11-23T06:41:00.123Z', silentMs: 401.4, decisionMs: 6.04, resumeMs: 23 },
  };
  const { failovers } = partsOf(shown({ failovers: [record] }));
  t.regex(
    seen(failovers.html),
    /kvm2 → kvm1 .*silent detected after 401 ms decided in 6\.0 ms resumed in 23\.0 ms together 430 ms from epoch 18 231/,
  );
});

test('every state has its advice, in the words of docs/operations.md', t => {
  const operations = fs.readFileSync('docs/operations.md', 'utf8');
  const table = section(operations, '## Reading `curlingctl status`');
  const rows = [...table.matchAll(/^\| ([A-Z ]+) \| `([A-Z]{4})` \| (.*?) \| ?(.*?) ?\|$/gm)];
  const documented = rows.map(([, word, state, means, todo]) => [
    `${word} ${state}`,
    { means, todo },
  ]);
  t.deepEqual(Object.fromEntries(documented), ADVICE);
  for (const state of HOST_STATES) {
    for (const running of [true, false])
      for (const held of [true, false])
        t.truthy(
          adviceFor(status({ state, running, held, protected: state === 'PROT' })),
          `${state}, ${running ? '' : 'not '}running, ${held ? '' : 'not '}held`,
        );
  }
});

test('the log of events keeps the newest ones', t => {
  const log = new EventLog();
  for (let i = 0; i < 250; i++) log.take(`E${i}`, {}, new Date());
  t.is(log.events.length, 100);
  t.is(log.events.at(-1)!.name, 'E249');
});

test('durations have two units, and Markdown of the docs becomes markup', t => {
  t.deepEqual([0, 59_999, 61_000, 3_700_000, 90_000_000].map(durationText), [
    ...['0 s', '59 s', '1 min 1 s', '1 h 1 min', '1 d 1 h'],
  ]);
  t.deepEqual([null, 0.04, 12.34, 123.4, 1234, 12_345].map(msText), [
    ...['–', '0.0 ms', '12.3 ms', '123 ms', '1.23 s', '12.3 s'],
  ]);
  t.is(
    markdownMarkup('a `b` **c** [d](#e) <f>').html,
    'a <code>b</code> <strong>c</strong> <cite title="a section of docs/operations.md">d</cite> &lt;f&gt;',
  );
});
