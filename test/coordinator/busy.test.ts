/** Whether a coordinator can tell that it is stuck: for how long it has been at one event. */
import fs from 'node:fs';
import test from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import { silentLogger } from '../../common/log.ts';
import { parseCommandLine } from '../../common/options.ts';
import { openRegister } from '../../coordinator/arbitration/backend.ts';
import { COORDINATOR, coordinatorConfig } from '../../coordinator/config.ts';
import { Coordinator } from '../../coordinator/coordinator.ts';
import { IdentityFile } from '../../coordinator/identity.ts';
import { ProxyClient } from '../../coordinator/proxy-client.ts';
import { Bench, STANDBY_COMMAND, until, VM } from './bench.ts';

test('an action that hangs is seen by its time, until it is over', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  const line = parseCommandLine(COORDINATOR, [
    ...['--vm', VM, '--host', 'a', '--role', 'primary', '--create'],
    ...['--witness', `127.0.0.1:${bench.witness.port}`, '--listen', `127.0.0.1:${bench.port}`],
    ...['--proxy', bench.path('proxy.sock'), '--qmp', bench.path('qmp.sock')],
    ...['--run-dir', bench.path('run'), '--shadow-dir', bench.path('shadow')],
    ...['--on-backup-loss', 'hold', '--', ...STANDBY_COMMAND],
  ]);
  const config = coordinatorConfig(line);
  fs.mkdirSync(config.runDir, { mode: 0o700 });
  let ahead = 0;
  const coordinator = await Coordinator.start({
    config,
    clock: { now: () => monotonicClock.now() + ahead },
    log: silentLogger,
    proxy: await ProxyClient.connect(config.proxyPath),
    witness: openRegister(config),
    identity: new IdentityFile(config.runDir),
    sabotage: undefined,
    stopAt: () => {},
    gateway: undefined,
    share: undefined,
  });
  t.teardown(() => coordinator.close());
  await until('nothing is being done', () => coordinator.busyMs === 0);
  ahead += 60_000;
  t.is(coordinator.busyMs, 0, 'to have nothing to do is not to be stuck');

  const { bypass } = bench.proxy.commands;
  let answer: ((value: object) => void) | undefined;
  bench.proxy.commands.bypass = () =>
    new Promise(resolve => {
      answer = resolve;
    });
  coordinator.want(false);
  await until('the proxy is asked', () => answer !== undefined);
  ahead += 31_000;
  t.true(coordinator.busyMs > 30_000);
  bench.proxy.commands.bypass = bypass!;
  answer!({});
  await until('it is over', () => coordinator.busyMs === 0);
});
