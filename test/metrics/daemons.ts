/** What the three real daemons export. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { EXPORTED_COUNTERS } from '../../proxy/metrics.ts';
import { initStore } from '../../witness/store.ts';
import { Bench, freePort } from '../coordinator/bench.ts';
import { TapLab } from '../proxy/lab.ts';
import { storePath } from '../witness/support.ts';

const WITNESS = fileURLToPath(new URL('../../witness/main.js', import.meta.url));

async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!response.ok) throw new Error(`/metrics answers with status ${response.status}`);
  return response.text();
}

/** Of a coordinator that runs a guest alone; its QEMU and its proxy are doubles. */
export async function coordinatorMetrics(t: ExecutionContext): Promise<string> {
  const bench = await Bench.create(t);
  await bench.guest();
  const port = await freePort();
  await bench.serving('primary', { http: `127.0.0.1:${port}` }, ['--create']);
  await bench.untilStatus('SOLO', ({ state }) => state === 'SOLO');
  return scrape(port);
}

/** Of a witness with one machine. */
export async function witnessMetrics(t: ExecutionContext): Promise<string> {
  const file = storePath(t);
  await initStore(file);
  const [listen, http] = [await freePort(), await freePort()];
  const args = ['--config', 'none', '--listen', `127.0.0.1:${listen}`, '--store', file];
  const command = [WITNESS, ...args, '--http', `127.0.0.1:${http}`];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  let said = '';
  for await (const chunk of child.stderr) {
    said += chunk;
    if (said.includes('"serving HTTP"')) break;
  }
  return scrape(http);
}

/** Of a proxy that holds one frame, in a namespace of its own. */
export async function proxyMetrics(t: ExecutionContext): Promise<string> {
  const lab = await TapLab.create(t);
  await lab.ip(['link set lo up']);
  const proxy = await lab.startProxy('--config', 'none', '--http', '127.0.0.1:7711');
  const code =
    "fetch('http://127.0.0.1:7711/metrics').then(r => r.text()).then(t => console.log(t))";
  const text = await lab.tool(process.execPath, '-e', code);
  const unknown = Object.keys(await proxy.execute('query-stats')).filter(
    member => !EXPORTED_COUNTERS.includes(member),
  );
  t.deepEqual(unknown, [], 'what query-stats counts and nobody exports');
  await proxy.end('SIGTERM');
  return text;
}
