import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { excess } from '../../common/capabilities.ts';
import { freePort } from '../coordinator/bench.ts';
import { folder } from './rig.ts';

const status = (bounding: string, permitted = bounding) =>
  `Name:\tnode\nCapInh:\t0000000000000000\nCapPrm:\t${permitted}\nCapBnd:\t${bounding}\n`;

test('which capabilities are not needed', t => {
  t.deepEqual(excess(status('0000000000003001'), ['NET_ADMIN', 'NET_RAW']), [0]);
  t.deepEqual(excess(status('0000000000003000'), ['NET_ADMIN', 'NET_RAW']), []);
  t.deepEqual(excess(status('0000000000000000'), ['NET_ADMIN']), []);
  // Before Linux 5.8 there was no CAP_BPF.
  t.deepEqual(excess(status('0000000000201001'), ['NET_ADMIN', 'BPF']), [0]);
  t.deepEqual(excess(status('0000008000201001'), ['NET_ADMIN', 'BPF']), [0, 21]);
  t.deepEqual(excess(status('0000000000000000', '8000000000000000'), []), [63]);
});

/** Starts a script that keeps only these capabilities, and returns what it says at its end. */
async function second(t: ExecutionContext, needed: string[], args: string[] = []) {
  const script = path.join(folder(t), 'main.mjs');
  const module = new URL('../../common/capabilities.js', import.meta.url).href;
  fs.writeFileSync(
    script,
    `import fs from 'node:fs';
     import { keepOnly } from '${module}';
     const warning = await keepOnly(${JSON.stringify(needed)});
     const status = fs.readFileSync('/proc/self/status', 'utf8');
     const sets = Object.fromEntries([...status.matchAll(/^Cap(\\w+):\\t(\\w+)$/gm)].map(m => m.slice(1)));
     const mark = Object.keys(process.env).filter(name => name.startsWith('CURLING_CAP'));
     const { pid, argv, execArgv } = process;
     console.log(JSON.stringify({ warning, sets, mark, pid, argv, execArgv, told: process.env.TOLD }));`,
  );
  const child = spawn(process.execPath, ['--no-warnings', script, ...args], {
    env: { ...process.env, TOLD: 'x=y z' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', chunk => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  t.is(code, 0);
  return { pid: child.pid, ...JSON.parse(said) };
}

test('the same process goes on with what it needs, and nothing else changes (needs root)', async t => {
  const life = await second(t, ['NET_RAW', 'KILL'], ['--a', "b c'd", '']);
  t.is(life.warning, undefined);
  for (const set of ['Prm', 'Eff', 'Bnd']) t.is(life.sets[set], '0000000000002020');
  t.is(life.sets.Inh, '0000000000000000');
  t.is(life.told, 'x=y z');
  t.deepEqual(life.argv.slice(2), ['--a', "b c'd", '']);
  t.deepEqual(life.execArgv, ['--no-warnings']);
  t.deepEqual(life.mark, []);
});

async function untilSaid(child: ChildProcess, what: string): Promise<string> {
  let said = '';
  for await (const chunk of child.stderr!) {
    said += chunk;
    if (said.includes(what)) break;
  }
  return said;
}

test('a witness has no capability, and serves, and ends as asked (needs root)', async t => {
  const main = fileURLToPath(new URL('../../witness/main.js', import.meta.url));
  const store = path.join(folder(t), 'store');
  const init = spawn(process.execPath, [main, 'init', '--store', store], { stdio: 'ignore' });
  await once(init, 'exit');
  const args = [main, '--listen', `127.0.0.1:${await freePort()}`, '--store', store];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const said = await untilSaid(child, '"serving"');
  t.regex(said, /"serving"/);
  t.false(said.includes('capabilities'));
  const sets = fs.readFileSync(`/proc/${child.pid}/status`, 'utf8');
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) t.regex(sets, new RegExp(`${set}:\\t0{16}\\n`));
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  t.deepEqual(await ended, [0, null]);
});
