/** SIGHUP to a coordinator: what it takes over while it runs, and that a wrong file changes nothing. */
import fs from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { connectWire } from '../../common/wire/client.ts';
import { loadKeys } from '../../common/wire/credentials.ts';
import { linesOf, startWitness } from '../witness/daemon.ts';
import { Bench, type Program, until, VM } from './bench.ts';

function write(bench: Bench, file: string, hosts: readonly string[]): string {
  fs.writeFileSync(bench.path(file), linesOf(hosts), { mode: 0o600 });
  return bench.path(file);
}

/** Whether the replication listener lets this host in; it says which one it is, and nothing more. */
async function letIn(t: ExecutionContext, bench: Bench, host: string): Promise<boolean> {
  const credentials = loadKeys(write(bench, `${host}.keys`, [host]), host);
  const address = { host: '127.0.0.1', port: bench.port };
  return new Promise(resolve => {
    const answers = { ready: () => resolve(true), failed: () => resolve(false) };
    const socket = connectWire(address, credentials, answers, 'the backup');
    t.teardown(() => socket.destroy());
  });
}

async function hangUp(program: Program, answer: RegExp): Promise<void> {
  const before = program.said.length;
  program.child.kill('SIGHUP');
  await until(String(answer), () => answer.test(program.said.slice(before)));
}

test('a new host is let in after SIGHUP, one that was taken away is not, and a wrong file changes nothing', async t => {
  const bench = await Bench.create(t);
  const witness = await startWitness(t, ['a']);
  const folder = bench.path('etc');
  fs.mkdirSync(`${folder}/vm`, { recursive: true });
  fs.writeFileSync(`${folder}/vm/${VM}.toml`, '');
  const configure = (text: string) => fs.writeFileSync(`${folder}/curling.toml`, text);
  configure('');
  const keys = write(bench, 'keys', ['a']);
  const program = await bench.serving('backup', {
    ...{ config: folder, keys, witness: `127.0.0.1:${witness.port}` },
  });
  t.false(await letIn(t, bench, 'b'));

  fs.writeFileSync(keys, 'b is a friend\n');
  await hangUp(program, /SIGHUP: .*keys, line 1/);
  t.false(await letIn(t, bench, 'b'));
  t.like(await bench.status(), { state: 'JOIN' });

  write(bench, 'keys', ['a', 'b']);
  await hangUp(program, /reloaded: .*keys of a, b/);
  t.true(await letIn(t, bench, 'b'));
  write(bench, 'keys', ['a']);
  await hangUp(program, /reloaded: .*keys of a"/);
  t.false(await letIn(t, bench, 'b'));

  write(bench, 'keys', ['a', 'b']);
  configure('log-level = "loud"\n');
  await hangUp(program, /SIGHUP: .*log-level/);
  t.false(await letIn(t, bench, 'b'), 'nothing of a configuration that is wrong is taken');

  configure('log-level = "error"\n');
  program.child.kill('SIGHUP');
  // From now on only errors are said: nothing says that it was done.
  await until('it is done', () => letIn(t, bench, 'b'));
  t.notRegex(program.said, /the log's level is error/);
  configure('log-level = "info"\n');
  await hangUp(program, /reloaded: the log's level is info/);
  program.child.kill('SIGUSR2');
  await until('the dump', () => /"dump":\{.*"state":"JOIN"/.test(program.said));
  t.true(program.alive);
});
