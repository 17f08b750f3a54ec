import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { labsPresent, removeLab } from '../../lab/cleanup.ts';
import { Lab } from '../../lab/lab.ts';
import { inRepository } from '../../lab/paths.ts';
import { startTimeOf } from '../../lab/processes.ts';

interface Owned {
  owner: ChildProcess;
  /** The lab. */
  name: string;
  /** A process in it. */
  pid: number;
}

/** Starts a process that owns a lab; resolves when the lab is up. */
async function startOwner(t: ExecutionContext, ending: string): Promise<Owned> {
  const script = inRepository('build/test/lab/owner.js');
  const owner = spawn(process.execPath, [script, ending], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(owner.stdout!, 'data');
  const [name, pid] = String(line).trim().split(' ') as [string, string];
  t.teardown(() => {
    owner.kill('SIGKILL');
    removeLab(name);
  });
  return { owner, name, pid: Number(pid) };
}

async function ended(owner: ChildProcess): Promise<void> {
  if (owner.exitCode === null && owner.signalCode === null) await once(owner, 'exit');
}

function isUp({ name, pid }: Owned): boolean {
  return labsPresent().includes(name) && startTimeOf(pid) > 0;
}

function isGone({ name, pid }: Owned): boolean {
  return !labsPresent().includes(name) && startTimeOf(pid) === 0;
}

for (const ending of ['exit', 'throw'] as const) {
  test(`a lab goes with its owner: ${ending} (needs root, namespaces)`, async t => {
    const owned = await startOwner(t, ending);
    await ended(owned.owner);
    t.is(owned.owner.exitCode, ending === 'exit' ? 0 : 1);
    t.true(isGone(owned));
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`a lab goes with its owner: ${signal} (needs root, namespaces)`, async t => {
    const owned = await startOwner(t, 'wait');
    owned.owner.kill(signal);
    await ended(owned.owner);
    t.is(owned.owner.signalCode, signal);
    t.true(isGone(owned));
  });
}

test('a lab whose owner was killed is swept, one in use is not (needs root, namespaces)', async t => {
  const [dead, living] = [await startOwner(t, 'wait'), await startOwner(t, 'wait')];
  dead.owner.kill('SIGKILL');
  await ended(dead.owner);
  Lab.sweep();
  t.true(isGone(dead));
  t.true(isUp(living));
});

test('a lab that was left stays up until it is ended by name (needs root, namespaces)', async t => {
  const owned = await startOwner(t, 'leave');
  await ended(owned.owner);
  t.is(owned.owner.exitCode, 0);
  Lab.sweep();
  t.true(isUp(owned));
  const end = inRepository('build/lab/end.js');
  const said = execFileSync(process.execPath, [end, owned.name], { encoding: 'utf8' });
  t.is(said, `ended ${owned.name}\n`);
  t.true(isGone(owned));
  t.throws(() => execFileSync(process.execPath, [end, owned.name], { stdio: 'pipe' }), {
    message: /there is no lab/,
  });
});
