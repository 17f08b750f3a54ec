/** How the page looks, in all states, on what people have. */
import test, { type ExecutionContext } from 'ava';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { status } from '../ctl/documents.ts';
import { Browser, DESKTOP, NO_BROWSER, PHONE } from './browser.ts';
import { pageOf } from './served.ts';

const browsing = NO_BROWSER ? test.serial.skip : test.serial;
const NEEDS = '(needs root, Chromium)';
/** Nowhere to break. */
const LONG = 'x'.repeat(60);
const UNPROTECTED = { protected: false, peer: null } as const;
const SINCE = { since: '2026-11-23T05:40:14.000Z', why: `lost its backup ${LONG}: silent` };
const FAILOVER = {
  ...{ vm: LONG, from: LONG, to: LONG, generation: 3, epoch: 18_231, reason: LONG },
  ...{ at: '2026-11-23T06:41:00.123Z', silentMs: 401.4, decisionMs: 6.04, resumeMs: 23 },
};
/** By the word that the page must say. */
const SHOWN: readonly (readonly [string, Partial<CoordinatorStatus>])[] = [
  ['PROTECTED', {}],
  ['PROTECTED', { vm: LONG, host: LONG, peer: LONG, reason: LONG, warnings: [LONG] }],
  ['STANDING BY', { state: 'BACK', protected: false, role: 'backup' }],
  ['HELD', { ...UNPROTECTED, state: 'SOLO', held: true, unprotected: SINCE }],
  ['UNPROTECTED', { ...UNPROTECTED, state: 'SOLO', unprotected: SINCE, failovers: [FAILOVER] }],
  ['UNPROTECTED', { protected: false, state: 'SYNC', witness: { reachable: false, store: null } }],
  ['UNDECIDED', { protected: false, state: 'FROZ', role: 'backup' }],
  ['FENCED', { ...UNPROTECTED, state: 'HALT', running: false }],
  ['EMPTY', { ...UNPROTECTED, state: 'JOIN', role: 'none', running: false }],
];

let browser: Browser | undefined;
test.before(async () => {
  if (!NO_BROWSER) browser = await Browser.launch();
});
test.after.always(() => browser?.close());

/** A page with a history. */
async function full(t: ExecutionContext) {
  const served = await pageOf(t);
  const { history, world, events } = served;
  for (let at = 0; at < 400_000; at += 500) {
    history.staged(2 + (at % 7), 400_000, 100, 1, at);
    history.committed(4, at);
    history.released(7 + (at % 11), at);
  }
  world.nowMs = 400_000;
  for (const name of ['PROTECTION_ACTIVE', 'PROTECTION_LOST', 'FAILED_OVER', LONG])
    events.take(name, { reason: LONG }, new Date());
  return served;
}

for (const [device, size] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  for (const scheme of ['light', 'dark'] as const) {
    browsing(`every state fits on a ${device} and can be read, ${scheme} ${NEEDS}`, async t => {
      const { url, world, page } = await full(t);
      const tab = await browser!.open(url, { ...size, scheme });
      await tab.until('#line-says', 'live');
      await tab.page.locator('.u-over').first().waitFor();
      for (const [word, change] of SHOWN) {
        world.status = status(change);
        page.happened();
        await tab.until('.word', new RegExp(`\\b${word}$`));
        if (change.vm === LONG) await tab.until('.host', LONG);
        t.is(await tab.overflow(), 0, `${word}: wider than the screen`);
        t.deepEqual(await tab.faint(), [], `${word}: too faint`);
      }
      const ground = await tab.page.evaluate<string>(
        'getComputedStyle(document.body).backgroundColor',
      );
      const [red] = ground.match(/\d+/g)!.map(Number);
      t.is(red! < 128, scheme === 'dark');
      t.deepEqual(tab.faults, []);
      await tab.close();
    });
  }
}

browsing(`both ranges are drawn, and what is pointed at is told ${NEEDS}`, async t => {
  const { url } = await full(t);
  const tab = await browser!.open(url);
  const plots = tab.page.locator('[data-plot] canvas');
  await plots.first().waitFor();
  t.is(await plots.count(), 6);
  const pause = () => tab.text('[data-plot=pause] .u-legend');
  t.regex(await pause(), /p50\d.*p99\d.*max\d/);
  const before = await pause();
  await tab.page.locator('[data-plot=pause] .u-over').hover({ position: { x: 40, y: 40 } });
  t.not(await pause(), before);
  await tab.page.mouse.move(0, 0);
  t.is(await pause(), before);
  const drawn = () => tab.page.evaluate<string>("document.querySelector('canvas').toDataURL()");
  const fine = await drawn();
  await tab.page.locator('[data-range=coarse]').click();
  t.is(await tab.page.locator('[data-range=coarse]').getAttribute('aria-pressed'), 'true');
  t.not(await drawn(), fine);
  t.deepEqual(tab.faults, []);
  await tab.close();
});
