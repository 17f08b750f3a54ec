import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';
import { labsPresent, removeLab } from '../../lab/cleanup.ts';
import { Lab } from '../../lab/lab.ts';
import { inRepository } from '../../lab/paths.ts';
import { namespacesWith, pidsIn } from '../../lab/processes.ts';

/** Starts a process that owns a lab; resolves when the lab is up. */
async function startOwner(t: ExecutionContext, ending: string) {
  const script = inRepository('build/test/lab/owner.js');
  const owner = spawn(process.execPath, [script, ending], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(owner.stdout!, 'data');
  const name = String(line).trim();
  t.teardown(() => {
    owner.kill('SIGKILL');
    removeLab(name);
  });
  return { owner, name };
}

async function ended(owner: ChildProcess): Promise<void> {
  if (owner.exitCode === null && owner.signalCode === null) await once(owner, 'exit');
}

for (const ending of ['exit', 'throw'] as const) {
  test(`a lab goes with its owner: ${ending} (needs root, namespaces)`, async t => {
    const { owner, name } = await startOwner(t, ending);
    await ended(owner);
    t.is(owner.exitCode, ending === 'exit' ? 0 : 1);
    t.false(labsPresent().includes(name));
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`a lab goes with its owner: ${signal} (needs root, namespaces)`, async t => {
    const { owner, name } = await startOwner(t, 'wait');
    owner.kill(signal);
    await ended(owner);
    t.is(owner.signalCode, signal);
    t.false(labsPresent().includes(name));
  });
}

test('a lab whose owner was killed is swept, one in use is not (needs root, namespaces)', async t => {
  const [dead, living] = [await startOwner(t, 'wait'), await startOwner(t, 'wait')];
  const namespaces = namespacesWith(dead.name);
  dead.owner.kill('SIGKILL');
  await ended(dead.owner);
  t.is(pidsIn(namespaces).length, 1);
  Lab.sweep();
  t.false(labsPresent().includes(dead.name));
  t.true(labsPresent().includes(living.name));
  t.is(pidsIn(namespacesWith(living.name)).length, 1);
});

test('a lab that was left stays up until it is ended by name (needs root, namespaces)', async t => {
  const { owner, name } = await startOwner(t, 'leave');
  await ended(owner);
  t.is(owner.exitCode, 0);
  Lab.sweep();
  t.true(labsPresent().includes(name));
  t.is(pidsIn(namespacesWith(name)).length, 1);
  const end = inRepository('build/lab/end.js');
  t.is(execFileSync(process.execPath, [end, name], { encoding: 'utf8' }), `ended ${name}\n`);
  t.false(labsPresent().includes(name));
  t.throws(() => execFileSync(process.execPath, [end, name], { stdio: 'pipe' }), {
    message: /there is no lab/,
  });
});
