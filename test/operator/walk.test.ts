import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { EchoSummary } from '../../lab/client/echo.ts';
import { inRepository } from '../../lab/paths.ts';
import { UNFIT } from '../system/scenario.ts';
import type { Said } from './machine.ts';
import { type Step, stepsOf, unmarkedBlocks } from './page.ts';
import { operationsPage, Site } from './site.ts';
import { disk, network } from './traces.ts';

const PACKAGE = inRepository('build/curling_0.1.0_amd64.deb');
/** An operator looks again until it is so. */
const UNTIL_MS_MAX = 60_000;

test('every block of docs/operations.md is a step on a machine, or is said to be something else', t => {
  t.deepEqual(unmarkedBlocks(operationsPage()), []);
});

test('a block that nobody would run is found', t => {
  const page =
    '# a\n```\nrm -r x\n```\n```sh\nls\n```\n```sh kvm1 until=YES status=1\nls\nid\n```\n';
  t.deepEqual(unmarkedBlocks(page), ['2: rm -r x', '5: ls']);
  const step = { machines: ['kvm1'], text: 'ls\nid\n', status: 1, until: 'YES', line: 8 };
  t.deepEqual(stepsOf(page), [step]);
});

async function follow(t: ExecutionContext, site: Site, step: Step, name: string): Promise<void> {
  const deadline = performance.now() + UNTIL_MS_MAX;
  let said: Said;
  const right = () =>
    said.status === step.status && (!step.until || said.output.includes(step.until));
  do {
    said = await site.do(step, name);
    if (right()) return;
    await sleep(200);
  } while (step.until && performance.now() < deadline);
  const logs = await site.machine(name).type('tail -n 5 /run/units/*.log || true');
  const told = `docs/operations.md:${step.line} on ${name} ends with ${said.status}`;
  t.fail(`${told}:\n${step.text}\n${said.output}\n${logs.output}`);
}

(UNFIT ? test.skip : test.serial)(
  'whoever types docs/operations.md from its top to its end protects a machine, loses a host and is rid of it again: needs root, QEMU',
  async t => {
    t.timeout(600_000);
    execFileSync('npm', ['run', '--silent', 'deb'], { cwd: inRepository('.'), stdio: 'pipe' });
    const site = await Site.create(t, PACKAGE);
    const machines = Object.values(site.machines);
    const nets = await Promise.all(machines.map(network));
    const disks = machines.map(disk);
    let ended: Promise<EchoSummary> | undefined;
    let talking: (() => Promise<EchoSummary>) | undefined;
    for (const step of stepsOf(operationsPage())) {
      if (/^pkill/.test(step.text)) ended = talking?.();
      await Promise.all(step.machines.map(name => follow(t, site, step, name)));
      if (step.until === 'PROTECTED') talking ??= await site.talk();
    }
    const echo = await ended;
    // One connection from the first protection to the end, across three failovers and a cut power line.
    t.like(echo, { lost: undefined, wrongBytes: 0, outstanding: 0 });
    t.true(echo!.sent > 100);
    for (const [index, machine] of machines.entries()) {
      t.deepEqual(await network(machine), nets[index], `${machine.name}: the network`);
      t.deepEqual(disk(machine), disks[index], `${machine.name}: the disk`);
    }
  },
);
