/**
 * `node build/test/ctl/pictures.js`: takes the pictures of `curlingctl status` and `top` in docs/images, of a protected guest
 * under traffic in the lab. Takes about a minute and a half, and needs Debian's chromium and python3.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../common/run.ts';
import { Deployment } from '../../lab/deployment.ts';
import { inRepository } from '../../lab/paths.ts';
import { Traffic } from '../../lab/traffic.ts';
import { drawTerminal } from './picture.ts';
import { PTY } from './pty.ts';

const FOLDER = inRepository('docs/images');
const CTL = inRepository('build/ctl/main.js');
const SIZE = { columns: 132, rows: 24 };
const TRAFFIC_MS = 65_000;
const DRAWN_MS = 3_000;

/** What top shows, some seconds after it was started. */
async function topScreen(sockets: readonly string[]): Promise<string> {
  const size = [String(SIZE.columns), String(SIZE.rows)];
  const command = [process.execPath, CTL, 'top', '--color', 'always', ...sockets];
  const child = spawn('python3', ['-c', PTY, ...size, ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  await sleep(DRAWN_MS);
  child.stdin.end('q');
  await once(child, 'close');
  const screens = said.split('\u001b[?25h')[0]!.split('\u001b[H');
  return screens.at(-1)!.replaceAll('\u001b[K', '').replaceAll('\u001b[J', '').replaceAll('\r', '');
}

mkdirSync(FOLDER, { recursive: true });
const deployment = await Deployment.create();
try {
  await deployment.startGuest('a');
  await deployment.startCoordinator('a', { role: 'primary', peers: ['b'] });
  await deployment.startCoordinator('b', { role: 'backup', peers: ['a'] });
  await deployment.untilProtected('a');
  await Traffic.start(deployment.lab, { recordsRate: 100, echoRate: 20, dirtyRate: 200 });
  await sleep(TRAFFIC_MS);
  const sockets = ['a', 'b'].flatMap(host => ['--socket', deployment.coordinatorPath(host)]);
  const top = await topScreen(sockets);
  await drawTerminal(top, SIZE.columns, join(FOLDER, 'ctl-top.png'));
  const status = await run(process.execPath, [CTL, 'status', '--color', 'always', ...sockets]);
  await drawTerminal(status, SIZE.columns, join(FOLDER, 'ctl-status.png'));
} finally {
  await deployment.destroy();
}
