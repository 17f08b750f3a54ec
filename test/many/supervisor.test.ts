/** One coordinator's process with several machines, without QEMU: how they come and go, and how one of them fails. */
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import type { MachineOverview } from '../../coordinator/many/overview.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { Bench, freePort, Program, STANDBY_COMMAND, until } from '../coordinator/bench.ts';

/** A host with a configuration, whose machines are started by one process. */
class Host {
  readonly bench: Bench;
  readonly http: number;
  readonly #t: ExecutionContext;
  program!: Program;

  private constructor(t: ExecutionContext, bench: Bench, http: number) {
    this.#t = t;
    this.bench = bench;
    this.http = http;
  }

  static async create(t: ExecutionContext): Promise<Host> {
    const host = new Host(t, await Bench.create(t), await freePort());
    for (const folder of ['etc/vm', 'faults'])
      fs.mkdirSync(host.bench.path(folder), { recursive: true });
    const { port } = host.bench.witness;
    const common = `host = "a"\nwitness = "127.0.0.1:${port}"\nhooks = "none"\n`;
    const own = `[curling-coordinator]\nhttp = "127.0.0.1:${host.http}"\n`;
    fs.writeFileSync(host.bench.path('etc/curling.toml'), common + own);
    return host;
  }

  /** Writes the file of a machine, which is a backup without a primary. */
  async machine(vm: string, more = ''): Promise<void> {
    const { bench } = this;
    const folder = (name: string) => JSON.stringify(bench.path(`${vm}-${name}`));
    const lines = [
      `listen = "127.0.0.1:${await freePort()}"`,
      `proxy = ${JSON.stringify(bench.path('proxy.sock'))}`,
      `run-dir = ${folder('run')}\nshadow-dir = ${folder('shadow')}`,
      `command = ${JSON.stringify(STANDBY_COMMAND)}`,
    ];
    fs.writeFileSync(this.file(vm), `${lines.join('\n')}\n${more}`);
  }

  file(vm: string): string {
    return this.bench.path(`etc/vm/${vm}.toml`);
  }

  start(): void {
    const { bench } = this;
    const program = new Program(['--all', '--config', bench.path('etc')], {
      CURLING_TEST_FAULTS: bench.path('faults'),
    });
    this.program = program;
    this.#t.teardown(async () => {
      program.child.kill('SIGTERM');
      await Promise.race([program.ended, sleep(5_000, undefined, { ref: false })]);
      await program.kill();
    });
  }

  fault(vm: string, name: string): void {
    fs.writeFileSync(this.bench.path(`faults/.${vm}`), name);
    fs.renameSync(this.bench.path(`faults/.${vm}`), this.bench.path(`faults/${vm}`));
  }

  async client(vm: string): Promise<QmpClient> {
    const client = await QmpClient.connect(this.bench.path(`${vm}-run/coordinator.sock`));
    this.#t.teardown(() => client.close());
    return client;
  }

  /** What a machine's own control socket says; undefined when nobody answers. */
  async status(vm: string): Promise<CoordinatorStatus | undefined> {
    const client = await this.client(vm).catch(() => undefined);
    try {
      return (await client?.execute('query-status')) as CoordinatorStatus | undefined;
    } catch {
      return undefined;
    } finally {
      client?.close();
    }
  }

  async untilServed(...machines: string[]): Promise<void> {
    for (const vm of machines) {
      await until(`${vm} is served: ${this.program.said}`, async () => {
        const { thread } = (await this.overview()).find(machine => machine.vm === vm) ?? {};
        return thread === 'serving' && (await this.status(vm)) !== undefined;
      });
    }
  }

  get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.http}${path}`, { redirect: 'manual' });
  }

  async overview(): Promise<MachineOverview[]> {
    const response = await this.get('/status.json').catch(() => undefined);
    const body = (await response?.json()) as { machines: MachineOverview[] } | undefined;
    return body?.machines ?? [];
  }

  hangUp(): void {
    this.program.child.kill('SIGHUP');
  }
}

test('each machine has its socket, and one address has the pages and the metrics of all', async t => {
  const host = await Host.create(t);
  await host.machine('blue');
  await host.machine('red', 'http = "127.0.0.1:9"\n');
  host.start();
  await host.untilServed('blue', 'red');
  t.like(await host.status('red'), { vm: 'red', state: 'JOIN' });
  t.like(await host.status('blue'), { vm: 'blue', state: 'JOIN' });
  t.regex(host.program.said, /red\.toml:\d+: http is not used/);

  const metrics = await (await host.get('/metrics')).text();
  t.is(metrics.match(/^# HELP curling_control_commands_total /gm)?.length, 1);
  for (const vm of ['blue', 'red']) {
    t.regex(metrics, new RegExp(`^curling_control_commands_total\\{vm="${vm}"\\} \\d`, 'm'));
    t.regex(metrics, new RegExp(`^curling_link_yields_total\\{vm="${vm}"\\} 0`, 'm'));
    t.regex(metrics, new RegExp(`^curling_machine_restarts_total\\{vm="${vm}"\\} 0`, 'm'));
  }
  t.regex(metrics, /^curling_process_resident_memory_bytes \d/m);

  const first = await (await host.get('/')).text();
  t.regex(first, /<a href="vm\/blue\/">blue<\/a>/);
  const page = await host.get('/vm/red/');
  t.regex(await page.text(), /<h1>red /);
  t.regex(page.headers.get('content-security-policy') ?? '', /frame-ancestors/);
  t.is((await host.get('/vm/red/page.css')).status, 200);
  t.is((await host.get('/vm/red')).headers.get('location'), '/vm/red/');
  t.is((await host.get('/vm/green/')).status, 404);
  const events = await host.get('/vm/blue/events');
  const { value } = await events.body!.getReader().read();
  t.regex(Buffer.from(value!).toString(), /^event: view\n/);
});

test('a machine whose thread ends is told of and begun again, and the others notice nothing', async t => {
  const host = await Host.create(t);
  for (const vm of ['blue', 'red']) await host.machine(vm);
  host.start();
  await host.untilServed('blue', 'red');
  const red = await host.client('red');
  let lost = false;
  red.on('close', () => {
    lost = true;
  });
  const endings: [fault: string, words: RegExp][] = [
    ['throw', /a test asked for this error/],
    ['hang', /it made no progress; started again/],
    ['heap', /memory limit/],
  ];
  for (const [index, [fault, words]] of endings.entries()) {
    const blue = await host.client('blue');
    host.fault('blue', fault);
    await until(`blue ends by ${fault}`, () => blue.closedBy !== undefined);
    await until(`it is said: ${host.program.said}`, () => words.test(host.program.said));
    const [down] = await host.overview();
    t.true(down?.thread === 'serving' || words.test(down!.summary), down!.summary);
    // What waits is tried at once when somebody may have mended it.
    host.hangUp();
    await host.untilServed('blue');
    const restarts = (await host.overview()).map(machine => machine.restarts);
    t.deepEqual(restarts, [index + 1, 0]);
  }
  t.false(lost);
  t.like(await red.execute('query-status'), { vm: 'red', state: 'JOIN' });
  t.true(host.program.alive);
});

test('the hooks of a machine hear that its thread was begun again', async t => {
  const host = await Host.create(t);
  const hooks = host.bench.path('hooks');
  const heard = host.bench.path('heard');
  fs.mkdirSync(hooks, { mode: 0o755 });
  const script = `#!/bin/sh\n[ "$CURLING_EVENT" = COORDINATOR_RESTARTED ] && cat >"${heard}.new" && mv "${heard}.new" "${heard}"\n`;
  fs.writeFileSync(`${hooks}/note`, script, { mode: 0o755 });
  await host.machine('blue', `hooks = ${JSON.stringify(hooks)}\n`);
  host.start();
  await host.untilServed('blue');
  host.fault('blue', 'throw');
  await until(`the hook ran: ${host.program.said}`, () => fs.existsSync(heard));
  t.like(JSON.parse(fs.readFileSync(heard, 'utf8')), {
    ...{ event: 'COORDINATOR_RESTARTED', vm: 'blue', host: 'a' },
    ...{ restarts: 1, reason: 'a test asked for this error' },
  });
});

test('SIGHUP begins what is new, ends what is gone, and says what cannot be taken over', async t => {
  const host = await Host.create(t);
  await host.machine('blue');
  await host.machine('red');
  fs.writeFileSync(host.file('wrong'), 'lisen = "127.0.0.1:1"\n');
  host.start();
  await host.untilServed('blue', 'red');
  let wrong: MachineOverview | undefined;
  await until('wrong is found wrong', async () => {
    wrong = (await host.overview()).find(({ vm }) => vm === 'wrong');
    return wrong?.thread === 'wrong';
  });
  t.is(wrong!.status, null);
  t.regex(wrong!.summary, /wrong\.toml:1: unknown key lisen/);

  const red = await host.client('red');
  fs.rmSync(host.file('blue'));
  await host.machine('green');
  await host.machine('wrong');
  fs.appendFileSync(host.file('red'), 'beat = 40\nlog-level = "debug"\n');
  host.hangUp();
  await host.untilServed('green', 'wrong');
  await until('blue has ended', async () => (await host.status('blue')) === undefined);
  t.deepEqual(
    (await host.overview()).map(({ vm }) => vm),
    ['green', 'red', 'wrong'],
  );
  await until(`red says it: ${host.program.said}`, () =>
    /not taken over .*: detection/.test(host.program.said),
  );
  t.regex(host.program.said, /"vm":"red".*the log's level is debug/);
  t.is(red.closedBy, undefined);

  // A host whose own file is wrong goes on with what it has.
  fs.writeFileSync(host.bench.path('etc/curling.toml'), 'log-level = "loud"\n');
  fs.rmSync(host.file('green'));
  host.hangUp();
  await until('it is refused', () => /SIGHUP: .*log-level/.test(host.program.said));
  t.true((await host.overview()).some(({ vm }) => vm === 'green'));

  host.program.child.kill('SIGTERM');
  t.is(await host.program.end(), 0, host.program.said);
  t.is(await host.status('red'), undefined);
});

test('--all takes nothing that is of one machine, and looks at every machine', async t => {
  const host = await Host.create(t);
  await host.machine('blue');
  const run = async (...args: string[]) => {
    const program = new Program(['--all', '--config', host.bench.path('etc'), ...args]);
    return { status: await program.end(), said: program.said };
  };
  t.like(await run('--check-config'), { status: 0, said: '# blue\nthe configuration is right\n' });
  const dump = await run('--dump-config');
  t.regex(dump.said, /^# blue\n.*\nbeat = 50 .*# default/s);
  fs.writeFileSync(host.file('red'), 'beat = 1\n');
  const wrong = await run('--check-config');
  t.is(wrong.status, 3);
  t.regex(wrong.said, /CURLING_CONFIG: red: .*QEMU command/);
  for (const option of ['--vm=blue', '--listen=127.0.0.1:1', '--role=primary'])
    t.like(await run(option), { status: 2 });
  t.like(await run('create'), { status: 2 });
  t.like(await run('--', 'qemu'), { status: 2 });
});
