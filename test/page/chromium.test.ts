/** The status page of a real coordinator, between test doubles of its proxy and its guest, in a real browser. */
import test, { type ExecutionContext } from 'ava';
import { Bench, freePort, until } from '../coordinator/bench.ts';
import { Browser, NO_BROWSER, PHONE, type Tab } from './browser.ts';

const chromiumTest = NO_BROWSER ? test.serial.skip : test.serial;

let browser: Browser;
test.before(async () => {
  if (!NO_BROWSER) browser = await Browser.launch();
});
test.after.always(() => browser?.close());

/** A coordinator with a guest and no backup. */
async function machine(t: ExecutionContext) {
  const bench = await Bench.create(t);
  await bench.guest();
  const http = `127.0.0.1:${await freePort()}`;
  const start = (...rest: string[]) => bench.serving('primary', { http }, [...rest, '--', 'qemu']);
  const program = await start('--create');
  return { bench, program, start, url: `http://${http}/` };
}

async function opened(t: ExecutionContext, ...args: Parameters<Browser['open']>): Promise<Tab> {
  const tab = await browser.open(...args);
  t.teardown(() => tab.close());
  return tab;
}

chromiumTest('the page renews itself, with plots and events (needs root, Chromium)', async t => {
  const { url, bench } = await machine(t);
  const tab = await opened(t, url);
  await tab.until('.word', 'UNPROTECTED');
  await tab.until('#line', /^live \d\d:\d\d:\d\d UTC$/);
  t.is(await tab.page.title(), 'UNPROTECTED: vm1 on a');
  t.regex(await tab.text('.advice'), /What to do start or repair the backup/);
  await tab.page.locator('.u-over').nth(5).waitFor();
  await tab.until('#strip[aria-label*="SOLO"]', '');
  const at = await tab.text('#line-at');
  await until('the next second', async () => (await tab.text('#line-at')) !== at);
  // Something happens: it stands there without a reload, at once.
  await bench.proxy.close();
  await tab.until('.events li', /PROXY_LOST/);
  await tab.until('.warn', 'the proxy of this host does not answer');
  t.deepEqual(tab.faults, []);
});

chromiumTest('the keyboard reaches the range of the plots (needs root, Chromium)', async t => {
  const { url } = await machine(t);
  const { page } = await opened(t, url);
  await page.locator('.u-over').first().waitFor();
  const focused = () => page.evaluate<string>('document.activeElement.dataset?.range ?? ""');
  for (let i = 0; i < 10 && (await focused()) !== 'coarse'; i++) await page.keyboard.press('Tab');
  t.is(await focused(), 'coarse');
  await page.keyboard.press('Enter');
  await page.locator('[data-range=coarse][aria-pressed=true]').waitFor();
  await page.locator('[data-range=fine][aria-pressed=false]').waitFor();
});

chromiumTest('what is old looks old, until somebody answers (needs root, Chromium)', async t => {
  const { url, program, start } = await machine(t);
  const tab = await opened(t, url);
  await tab.until('#line', /^live/);
  await program.kill();
  await tab.until('#last-known', /^No answer since \d\d:\d\d:\d\d UTC\. Last known:$/);
  await tab.until('#line', /^no answer since/);
  t.regex(await tab.page.title(), /^NO ANSWER/);
  t.regex(await tab.page.locator('body').getAttribute('class').then(String), /stale/);
  await start();
  await tab.until('#line', /^live/);
  t.false(await tab.page.locator('#last-known').isVisible());
  t.is(await tab.page.title(), 'UNPROTECTED: vm1 on a');
  // The browser itself says of each attempt that nobody was there.
  t.deepEqual(
    tab.faults.filter(text => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED/.test(text)),
    [],
  );
});

chromiumTest('a coordinator that hangs is no answer either (needs root, Chromium)', async t => {
  const { url, program } = await machine(t);
  const tab = await opened(t, url);
  await tab.until('#line', /^live/);
  program.child.kill('SIGSTOP');
  try {
    await tab.until('#line', /^no answer since/);
  } finally {
    program.child.kill('SIGCONT');
  }
  await tab.until('#line', /^live/);
  t.pass();
});

chromiumTest('without JavaScript the state is there (needs root, Chromium)', async t => {
  const { url } = await machine(t);
  const tab = await opened(t, url, { ...PHONE, javaScript: false });
  t.is(await tab.text('.word'), '! UNPROTECTED');
  t.regex(await tab.text('noscript'), /load it again/);
  t.false(await tab.page.locator('#over-time').isVisible());
  t.is(await tab.overflow(), 0);
  t.deepEqual(tab.faults, []);
});
