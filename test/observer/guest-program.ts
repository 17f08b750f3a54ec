/** The guest's program as an ordinary process of this machine, compiled once per test file. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { isFree } from '../ports.ts';

let program: string | undefined;

/** A folder of its own, removed when the process ends. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'curling-guest-test-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Compiles lab/guest/*.c and returns the path of the program. */
export function guestProgram(): string {
  if (program) return program;
  const folder = scratchFolder();
  const sources = readdirSync('lab/guest').filter(name => name.endsWith('.c'));
  program = join(folder, 'workload');
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread', '-o', program];
  execFileSync('gcc', [...flags, ...sources.map(name => join('lab/guest', name))], {
    timeout: 60_000,
  });
  return program;
}

const OFFSETS = [7, 9, 19, 1000, 1001, 1002, 1003, 1004];

/**
 * A port base with which all of the guest's ports are free; below the ports that the kernel gives
 * out by itself.
 */
export async function freePortBase(): Promise<number> {
  for (let i = 0; i < 20; i++) {
    const base = 3000 + Math.floor(Math.random() * 27_000);
    const free = await Promise.all(OFFSETS.map(offset => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free ports for the guest');
}

/** Resolves when the child has printed `text` on stdout. */
export function untilSaid(child: ChildProcess, text: string): Promise<void> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk;
      if (said.includes(text)) resolve();
    });
    child.on('error', reject);
    child.on('close', () => reject(new Error(`ended without ${text}: ${said}`)));
  });
}

/** Starts the guest's program; it is killed when the test ends. */
export async function startGuest(
  t: ExecutionContext,
  words: string[],
  wrapper: string[] = [],
): Promise<ChildProcess> {
  const [command, ...args] = [...wrapper, guestProgram(), ...words];
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await untilSaid(child, 'workload ready');
  return child;
}
