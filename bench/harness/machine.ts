/** What machine, system and sources a benchmark ran with. */
import { closeSync, openSync } from 'node:fs';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../common/run.ts';
import { REPOSITORY } from '../../lab/paths.ts';
import { loadBetween, type Ticks } from './load.ts';
import type { MachineFacts } from './results.ts';

const BEFORE_MS = 1000;

/** Looks at the machine for a second, before anything runs on it. */
export async function machineFacts(readTicks: () => Ticks): Promise<MachineFacts> {
  const qemu = await output('qemu-system-x86_64', ['--version']);
  const commit = await output('git', ['-C', REPOSITORY, 'rev-parse', 'HEAD']);
  const changes = await output('git', ['-C', REPOSITORY, 'status', '--porcelain']);
  const before = readTicks();
  await sleep(BEFORE_MS);
  const load = loadBetween(before, readTicks());
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryMib: Math.round(os.totalmem() / 2 ** 20),
    kernel: `${os.type()} ${os.release()}`,
    node: process.versions.node,
    qemu: qemu?.split('\n')[0]?.trim() ?? null,
    kvm: canOpen('/dev/kvm'),
    commit: commit?.trim() ?? null,
    dirty: (changes ?? '').trim() !== '',
    before: { load: os.loadavg()[0] ?? 0, ...load },
  };
}

/** What a tool prints, or undefined when it is not there or fails. */
async function output(tool: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return await run(tool, args);
  } catch {
    return undefined;
  }
}

function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, 'r+'));
    return true;
  } catch {
    return false;
  }
}
