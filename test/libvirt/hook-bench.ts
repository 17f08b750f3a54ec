/** Runs libvirt's hook as libvirt does, below a root of its own and with a double of systemctl. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { inRepository } from '../../lab/paths.ts';

export const HOOK = inRepository('install/libvirt/50-curling');
const XML = fs.readFileSync(inRepository('test/libvirt/domain.xml'));

export interface HookOutcome {
  status: number | string;
  stdout: string;
  stderr: string;
}

export class HookBench {
  readonly root: string;

  constructor(t: ExecutionContext, vm = 'tap = ["tap0"]\n') {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-libvirt-'));
    t.teardown(() => fs.rmSync(this.root, { recursive: true, force: true }));
    for (const folder of ['etc/curling/vm', 'run/curling'])
      fs.mkdirSync(this.path(folder), { recursive: true });
    this.vmFile(vm);
    this.systemctl('');
  }

  path(name: string): string {
    return path.join(this.root, name);
  }

  /** The file that opts the guest `web` in. */
  vmFile(text: string): void {
    fs.writeFileSync(this.path('etc/curling/vm/web.toml'), text);
  }

  /** Says of a network interface whether somebody has it open. */
  carrier(name: string, carrier: 0 | 1): void {
    const folder = this.path(`sys/class/net/${name}`);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(`${folder}/carrier`, `${carrier}\n`);
  }

  /** What systemctl does after it has written down that it was called; at first: it succeeds. */
  systemctl(body: string): void {
    const text = `#!/bin/sh\nprintf '%s\\n' "$*" >>${this.path('calls')}\necho $$ >>${this.path('pids')}\n${body}\n`;
    fs.writeFileSync(this.path('systemctl'), text, { mode: 0o755 });
  }

  /** How systemctl was called so far. */
  get calls(): string[] {
    return this.#lines('calls');
  }

  /** The processes that it was. */
  get pids(): number[] {
    return this.#lines('pids').map(Number);
  }

  #lines(name: string): string[] {
    const file = this.path(name);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : [];
  }

  /**
   * Calls the hook.
   * @param input What it gets on standard input; `never ends`: a pipe that nobody closes.
   */
  call(words: readonly string[], input: Buffer | 'never ends' = XML): Promise<HookOutcome> {
    const env = {
      ...{ LC_ALL: 'C', PATH: '/usr/bin:/bin' },
      ...{ CURLING_TEST_ROOT: this.root, CURLING_TEST_SYSTEMCTL: this.path('systemctl') },
    };
    const child = spawn(HOOK, words, { env, stdio: 'pipe' });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        said[name] += text;
      });
    }
    child.stdin.on('error', () => {});
    if (input !== 'never ends') child.stdin.end(input);
    return new Promise(resolve => {
      child.once('close', (status, signal) => {
        child.stdin.destroy();
        resolve({ status: status ?? signal ?? 'lost', ...said });
      });
    });
  }
}
