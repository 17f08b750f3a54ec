/**
 * `npm run pictures`: takes the pictures of the status page in docs/images from a real run in the lab: a protected guest, the
 * loss of its backup, a new one, a failover, and another one back. Takes about nine minutes, for the plots to have something
 * to show, and needs pngquant (Debian's), which makes them small.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { run } from '../../common/run.ts';
import { Deployment } from '../../lab/deployment.ts';
import { inRepository } from '../../lab/paths.ts';
import { Traffic } from '../../lab/traffic.ts';
import { killPart } from '../system/faults.ts';
import { untilSurvivor } from '../system/scenario.ts';
import { Browser, DESKTOP, type Look, PHONE } from './browser.ts';
import { pageOf, startPair, startShown } from './lab.ts';

const { values } = parseArgs({
  options: { folder: { type: 'string' }, minutes: { type: 'string', default: '3' } },
});
const FOLDER = values.folder ?? inRepository('docs/images');
const PART_MS = Number(values.minutes) * 60_000;
/** After something has happened, for the page to show it. */
const AFTER_MS = Math.min(20_000, PART_MS / 4);
const DRAWN_MS = 2_500;
/** The top of the page, with the first plots. */
const TOP: Look = { ...DESKTOP, height: 1_150 };
const DARK: Look = { ...TOP, scheme: 'dark' };
const PHONES: Look = { ...PHONE, scale: 2 };

async function take(browser: Browser, url: string, name: string, look: Look): Promise<void> {
  const tab = await browser.open(url, look);
  await tab.page.locator('.u-over').first().waitFor();
  await sleep(DRAWN_MS);
  const path = join(FOLDER, `${name}.png`);
  await tab.page.screenshot({ path, fullPage: look === DESKTOP });
  if (tab.faults.length > 0) throw new Error(`${name}: ${tab.faults.join('; ')}`);
  await tab.close();
  await run('pngquant', ['--force', '--strip', '--nofs', '--output', path, '128', path]);
  process.stdout.write(`${path}\n`);
}

mkdirSync(FOLDER, { recursive: true });
const deployment = await Deployment.create();
let browser: Browser | undefined;
try {
  browser = await Browser.launch(deployment.lab.client.namespace);
  await startPair(deployment);
  await Traffic.start(deployment.lab, { recordsRate: 100, echoRate: 20, dirtyRate: 200 });
  await sleep(PART_MS);
  const a = pageOf(deployment, 'a');
  await take(browser, a, 'status-protected', TOP);
  await take(browser, a, 'status-phone', PHONES);
  await killPart(deployment, 'b', 'coordinator');
  await deployment.untilStatus('a', 'alone', ({ state }) => state === 'SOLO');
  await sleep(AFTER_MS);
  await take(browser, a, 'status-degraded', DARK);
  await startShown(deployment, 'b', 'backup', 'a');
  await deployment.untilProtected('a');
  await sleep(PART_MS);
  // The coordinators live through this, and host a becomes the backup: its page remembers all of it.
  await killPart(deployment, 'a', 'qemu');
  await deployment.untilProtected('b');
  await sleep(PART_MS);
  deployment.lab.kill('b');
  await untilSurvivor(deployment, 'a');
  await sleep(AFTER_MS);
  await take(browser, a, 'status-failover', DESKTOP);
} finally {
  await browser?.close();
  await deployment.destroy();
}
