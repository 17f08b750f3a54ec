/** What daemons tell a service manager, and when. */
import { once } from 'node:events';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { silentLogger } from '../../common/log.ts';
import { Notifier } from '../../common/systemd/notify.ts';
import { feedWatchdog } from '../../common/systemd/watchdog.ts';
import { Bench, until } from '../coordinator/bench.ts';
import { startWitness } from '../witness/daemon.ts';
import { NotifySocket } from './notify-socket.ts';

test('a notifier speaks once, takes its variables away, and needs no manager', async t => {
  const manager = new NotifySocket(t);
  const environment: NodeJS.ProcessEnv = { ...manager.environment(400), PATH: '/bin' };
  const { notifier, problem } = await Notifier.fromEnvironment(environment);
  t.is(problem, undefined);
  t.deepEqual(environment, { PATH: '/bin' });
  t.is(notifier.watchdogMs, 400);
  notifier.status('PROT is\n well');
  notifier.status('PROT is well');
  notifier.status('x'.repeat(300));
  notifier.ready();
  await until('all is heard', () => manager.lines.length === 3);
  t.deepEqual(manager.lines, ['STATUS=PROT is well', `STATUS=${'x'.repeat(200)}`, 'READY=1']);

  const other = { ...manager.environment(400), WATCHDOG_PID: String(process.pid + 1) };
  t.is((await Notifier.fromEnvironment(other)).notifier.watchdogMs, undefined);
  const nobody = await Notifier.fromEnvironment({ NOTIFY_SOCKET: '/nowhere/at/all' });
  t.notThrows(() => nobody.notifier.ready());
  const long = await Notifier.fromEnvironment({ NOTIFY_SOCKET: `/${'x'.repeat(120)}` });
  t.regex(long.problem!, /too long/);
});

test('the watchdog is fed while there is progress, and not while the answer is no, late, or an error', async t => {
  const said: string[] = [];
  const notifier = new Notifier(message => said.push(message), 20);
  let answer: () => boolean | Promise<boolean> = () => true;
  const stop = feedWatchdog(notifier, () => answer(), silentLogger);
  t.teardown(stop);
  await until('it is fed', () => said.length > 3);
  const answers: (typeof answer)[] = [
    () => false,
    () => {
      throw new Error('a defect');
    },
    () => new Promise(() => {}),
  ];
  for (const stuck of answers) {
    answer = stuck;
    await sleep(30);
    const before = said.length;
    await sleep(80);
    t.is(said.length, before);
    answer = () => true;
    if (stuck !== answers[2]) await until('it is fed again', () => said.length > before + 1);
  }
});

test('a coordinator is ready when it has its place, not before, and says what it becomes', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  const manager = new NotifySocket(t);
  // The proxy does not say that it holds until we let it.
  let answer!: (value: object) => void;
  const asked = new Promise<void>(resolve => {
    const { bypass } = bench.proxy.commands;
    bench.proxy.commands.bypass = () => {
      bench.proxy.commands.bypass = bypass!;
      resolve();
      return new Promise(answered => {
        answer = answered;
      });
    };
  });
  const program = bench.start('primary', {}, ['--create'], manager.environment(2_000));
  await asked;
  await sleep(100);
  t.deepEqual(manager.lines, [], program.said);
  answer({});
  await until('it is ready', () => manager.lines.includes('READY=1'));
  const [first, second] = manager.lines.filter(line => line !== 'WATCHDOG=1');
  t.regex(first!, /^STATUS=SOLO /);
  t.is(second, 'READY=1');
  await until('it is fed', () => manager.count('WATCHDOG=1') > 2);
  await guest.close();
  await until('the state without a guest', () => {
    return manager.lines.some(line => /^STATUS=(HALT|JOIN) /.test(line));
  });
  program.child.kill('SIGTERM');
  t.is(await program.end(), 0);
  await until('its end is said', () => manager.lines.at(-1) === 'STOPPING=1');
});

test('a coordinator that does not start is never ready', async t => {
  const bench = await Bench.create(t);
  const manager = new NotifySocket(t);
  const program = bench.start('primary', {}, ['--create'], manager.environment());
  t.is(await program.end(), 1);
  await sleep(50);
  t.deepEqual(manager.lines, ['STOPPING=1']);
});

test('a witness: ready when it listens, a key that is new after SIGHUP, a dump after SIGUSR2', async t => {
  const manager = new NotifySocket(t);
  const witness = await startWitness(t, ['a'], manager.environment(1_000));
  await until('it is ready', () => manager.lines.includes('READY=1'));
  t.deepEqual(
    manager.lines.filter(line => line !== 'WATCHDOG=1'),
    ['STATUS=0 machines, 0 clients', 'READY=1'],
  );
  await t.notThrowsAsync(witness.read('a'));
  await t.throwsAsync(witness.read('b'), { code: 'CURLING_WITNESS_UNREACHABLE' });

  fs.writeFileSync(witness.keys, 'b is a friend\n');
  witness.child.kill('SIGHUP');
  await until('the wrong file is said', () => /SIGHUP: .*keys/.test(witness.said()));
  await t.notThrowsAsync(witness.read('a'));
  await t.throwsAsync(witness.read('b'), { code: 'CURLING_WITNESS_UNREACHABLE' });

  witness.write(['a', 'b']);
  witness.child.kill('SIGHUP');
  await until('it is read', () => /reloaded: .*keys of a, b/.test(witness.said()));
  await t.notThrowsAsync(witness.read('b'));

  t.notRegex(witness.said(), /"dump":/);
  witness.child.kill('SIGUSR2');
  await until('the dump', () => /"dump":\{"store":"[0-9a-f]{32}"/.test(witness.said()));
  witness.child.kill('SIGTERM');
  const [status] = await once(witness.child, 'exit');
  t.is(status, 0);
  await until('its end is said', () => manager.lines.at(-1) === 'STOPPING=1');
});
