/** The status pages of a real pair, looked at from the lab's client while one host is killed. */
import test from 'ava';
import { logsOnFailure } from '../system/faults.ts';
import { deploy, UNFIT } from '../system/scenario.ts';
import { Browser, NO_BROWSER, PHONE } from './browser.ts';
import { pageOf, startPair } from './lab.ts';

const labTest = UNFIT || NO_BROWSER ? test.skip : test;

labTest('both pages tell a failover while it happens (needs root, QEMU, Chromium)', async t => {
  t.timeout(180_000);
  const deployment = await deploy(t);
  logsOnFailure(t, deployment);
  const browser = await Browser.launch(deployment.lab.client.namespace);
  try {
    await startPair(deployment);
    const a = await browser.open(pageOf(deployment, 'a'));
    const b = await browser.open(pageOf(deployment, 'b'), PHONE);
    await a.until('.word', 'PROTECTED');
    await a.until('.pair', /a\s*runs the guest.*b\s*holds its copy/s);
    await b.until('.word', 'STANDING BY');
    await a.until('[data-plot=pause] .u-legend', /p50\s*[\d.]/);

    deployment.lab.kill('a');
    await b.until('.word', 'UNPROTECTED');
    await b.until('.failover', /a → b.*detected after.*decided in.*resumed in/s);
    await b.until('.events li', /FAILED_OVER/);
    await b.until('.since', /took over from a/);
    await b.until('#strip[aria-label*="SOLO"]', '');
    t.is(await b.overflow(), 0);
    t.deepEqual(b.faults, []);
    await a.until('#line', /^no answer since/);
    t.is(await a.text('.word'), '✓ PROTECTED', 'what was known last');
    t.true(await a.page.locator('#last-known').isVisible());
  } finally {
    await browser.close();
  }
});
