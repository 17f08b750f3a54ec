/**
 * The units under a real systemd: whether the daemons work with what the units leave them, and what becomes of a guest
 * when its coordinator's unit is stopped, killed or stuck.
 */
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { type Capability, excess } from '../../common/capabilities.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { Double, until } from '../coordinator/bench.ts';
import { guestAnswers } from '../coordinator/fake-guest.ts';
import { ServiceManager } from './manager.ts';
import { needed } from './units.ts';

const PROXY = 'curling-proxy@tap0.service';
const COORDINATOR = 'curling-coordinator@vm-1.service';
const WITNESS = 'curling-witness.service';
const APP = '/usr/lib/curling/build';

const problem = ServiceManager.impossible();
const managed = problem ? test.serial.skip : test.serial;
const where = problem ? `left out: ${problem}` : 'needs root, namespaces';
let manager: ServiceManager;

test.before(async () => {
  if (problem) return;
  manager = await ServiceManager.boot();
  manager.write('/etc/curling/keys', `a:${'5'.repeat(64)}\n`, 0o600);
  manager.write(
    '/etc/curling/curling.toml',
    [
      'host = "a"',
      'keys = "/etc/curling/keys"',
      '[curling-witness]',
      'listen = "127.0.0.1:7700"',
      'store = "/var/lib/curling/registers"',
      '[curling-coordinator]',
      'witness = "127.0.0.1:7700"',
      '',
    ].join('\n'),
  );
  manager.write(
    '/etc/curling/vm/vm-1.toml',
    [
      'tap = ["tap0"]',
      'qmp = "/run/shared/qmp.sock"',
      'listen = "127.0.0.1:7701"',
      `command = ["/usr/lib/curling-node/node", "${APP}/test/coordinator/fake-standby.js"]`,
      '',
    ].join('\n'),
  );
});

test.after.always(() => manager?.end());

/** The main process of a unit, by its id inside. */
async function main(unit: string): Promise<string> {
  return (await manager.show(unit, 'MainPID')).MainPID!;
}

/** Whether a process has no capability that its daemon does not need, and so was not begun anew. */
async function unprivileged(pid: string, daemon: string): Promise<boolean> {
  const text = await manager.execute('cat', `/proc/${pid}/status`);
  return (
    /^NoNewPrivs:\s*1$/m.test(text) && excess(text, needed(daemon) as Capability[]).length === 0
  );
}

async function untilActive(unit: string, before?: string): Promise<string> {
  await until(`${unit} is active`, async () => {
    const { ActiveState, MainPID } = await manager.show(unit, 'ActiveState', 'MainPID');
    return ActiveState === 'active' && MainPID !== before;
  });
  return main(unit);
}

/** Asks the control socket of a daemon. */
async function ask(socket: string, command: string): Promise<Record<string, unknown>> {
  const client = await QmpClient.connect(manager.path(socket));
  try {
    return (await client.execute(command)) as Record<string, unknown>;
  } finally {
    client.close();
  }
}

managed(
  `a proxy is active when its tap is held, and says in what state it is (${where})`,
  async t => {
    await manager.systemctl('start', PROXY);
    const { state } = await ask('/run/curling/proxy-tap0.sock', 'query-status');
    t.is(state, 'hold');
    const about = await manager.show(PROXY, 'StatusText', 'ActiveState', 'BindsTo');
    t.is(about.ActiveState, 'active');
    t.is(about.StatusText, 'tap0: hold');
    t.regex(about.BindsTo!, /tap0\.device/);
    t.true(await unprivileged(await main(PROXY), 'proxy'));
    await ask('/run/curling/proxy-tap0.sock', 'bypass');
    await until('the other state is said', async () => {
      return (await manager.show(PROXY, 'StatusText')).StatusText === 'tap0: bypass';
    });
    await ask('/run/curling/proxy-tap0.sock', 'hold');
  },
);

managed(`the journal gets the priority of each line (${where})`, async t => {
  await manager.systemctl('stop', PROXY);
  const lines = await manager.journal(PROXY);
  const priorityOf = (part: string) => lines.find(({ text }) => text.includes(part))?.priority;
  t.is(priorityOf('"msg":"started"'), '6');
  t.is(priorityOf('stays closed'), '4');
  t.true(lines.every(({ text }) => text.startsWith('{')));
  await manager.systemctl('start', PROXY);
});

managed(`a proxy that stands still is ended and started again (${where})`, async t => {
  await manager.change(PROXY, ['WatchdogSec=1', 'TimeoutAbortSec=1']);
  await manager.systemctl('restart', PROXY);
  const pid = await main(PROXY);
  await new Promise(resolve => setTimeout(resolve, 2_500));
  t.is(await main(PROXY), pid, 'one that works is left alone');
  await manager.execute('kill', '-STOP', pid);
  await untilActive(PROXY, pid);
  t.is((await manager.show(PROXY, 'NRestarts')).NRestarts, '1');
  const { state } = await ask('/run/curling/proxy-tap0.sock', 'query-status');
  t.is(state, 'hold', 'the tap has stayed closed');
});

managed(
  `a witness works as root without a capability, and takes over a key (${where})`,
  async t => {
    const failed = await manager.systemctl('start', WITNESS).catch(error => String(error));
    t.regex(String(failed), /failed|exit/);
    await manager.systemctl('stop', WITNESS);
    await manager.execute('curling-witness', 'init', '--store', '/var/lib/curling/registers');
    await manager.systemctl('start', WITNESS);
    t.true(await unprivileged(await main(WITNESS), 'witness'));
    t.is((await manager.show(WITNESS, 'StatusText')).StatusText, '0 machines, 0 clients');
    manager.write('/etc/curling/keys', `a:${'5'.repeat(64)}\nb:${'6'.repeat(64)}\n`, 0o600);
    await manager.systemctl('reload', WITNESS);
    await until('it says so', async () => {
      const lines = await manager.journal(WITNESS);
      return lines.some(({ text }) => /reloaded: .*keys of a, b/.test(text));
    });
  },
);

managed(`a configuration that is wrong is not tried again (${where})`, async t => {
  manager.write('/etc/curling/conf.d/wrong.toml', 'witnes = "192.0.2.1:7700"\n');
  await t.throwsAsync(manager.systemctl('start', COORDINATOR));
  const names = ['ActiveState', 'SubState', 'ExecMainStatus', 'NRestarts'];
  t.like(await manager.show(COORDINATOR, ...names), {
    ...{ ActiveState: 'failed', SubState: 'failed', ExecMainStatus: '3', NRestarts: '0' },
  });
  fs.rmSync(manager.path('/etc/curling/conf.d/wrong.toml'));
});

managed(
  `a guest outlives the unit of its coordinator, which finds it again (${where})`,
  async t => {
    const guest = new Double('qemu', guestAnswers());
    await guest.listen(t, path.join(manager.shared, 'qmp.sock'));
    const said = await manager.execute('curling-coordinator', 'create', '--vm', 'vm-1');
    t.regex(said, /vm-1 is created: generation 1, on a/);
    await manager.systemctl('start', COORDINATOR);
    const identity = '/run/curling/vm-1/identity.json';
    const before = fs.readFileSync(manager.path(identity), 'utf8');
    t.true(await unprivileged(await main(COORDINATOR), 'coordinator'));
    t.like(await ask('/run/curling/vm-1/coordinator.sock', 'query-status'), { state: 'SOLO' });
    t.regex((await manager.show(COORDINATOR, 'StatusText')).StatusText!, /^SOLO /);

    // Stands for the QEMU that a coordinator starts: a process of its control group.
    const { ControlGroup } = await manager.show(COORDINATOR, 'ControlGroup');
    const procs = `/sys/fs/cgroup${ControlGroup}/cgroup.procs`;
    const command = `sleep 600 >/dev/null 2>&1 & echo $! | tee ${procs.replaceAll('\\', '\\\\')}`;
    const qemu = (await manager.execute('sh', '-c', command)).trim();
    const lives = () => fs.existsSync(manager.path(`/proc/${qemu}/exe`));
    t.true((await manager.execute('cat', procs)).split('\n').includes(qemu));

    await manager.systemctl('stop', COORDINATOR);
    t.like(await manager.show(COORDINATOR, 'ActiveState'), { ActiveState: 'inactive' });
    t.true(lives(), 'stopped');
    await manager.systemctl('start', COORDINATOR);
    t.true(lives(), 'started again');
    const pid = await main(COORDINATOR);
    await manager.execute('kill', '-KILL', pid);
    await untilActive(COORDINATOR, pid);
    t.true(lives(), 'killed');
    t.is(fs.readFileSync(manager.path(identity), 'utf8'), before, 'it is who it was');
    const status = await ask('/run/curling/vm-1/coordinator.sock', 'query-status');
    t.like(status, { state: 'SOLO', generation: 1 });
    t.false(guest.said.includes('quit'));

    await manager.systemctl('start', 'curling.target');
    await manager.systemctl('stop', 'curling.target');
    for (const unit of [PROXY, COORDINATOR, WITNESS])
      await until(`${unit} has ended`, async () => {
        return (await manager.show(unit, 'ActiveState')).ActiveState === 'inactive';
      });
    t.true(lives(), 'stopped with all');
    t.is(fs.readFileSync(manager.path(identity), 'utf8'), before);
  },
);
