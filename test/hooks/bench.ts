/** A folder of real hooks for tests, and a log that can be read. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import pino from 'pino';
import { Hooks } from '../../coordinator/hooks/hooks.ts';
import { startTimeOf } from '../../lab/processes.ts';

export interface LogLine {
  msg: string;
  hook?: string;
  event?: string;
  output?: string;
  cutBytes?: number;
}

export class HookBench {
  /** Where scripts write what they saw. */
  readonly folder: string;
  readonly hooksFolder: string;
  readonly log: LogLine[] = [];
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    this.#t = t;
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-hooks-'));
    this.hooksFolder = this.path('hooks.d');
    fs.mkdirSync(this.hooksFolder, { mode: 0o755 });
    t.teardown(() => {
      // What a failed test leaves running.
      for (const pid of this.pids()) if (startTimeOf(pid) !== 0) process.kill(pid, 'SIGKILL');
      fs.rmSync(this.folder, { recursive: true, force: true });
    });
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** Makes a script; `$here` is the folder that `text` and `pids` read. */
  script(name: string, body: string, mode = 0o755): string {
    const file = path.join(this.hooksFolder, name);
    // Renamed into place: a file that is open for writing cannot be executed.
    fs.writeFileSync(`${this.folder}/new`, `#!/bin/sh\nhere=${this.folder}\n${body}\n`);
    fs.chmodSync(`${this.folder}/new`, mode);
    fs.renameSync(`${this.folder}/new`, file);
    return file;
  }

  /** The hooks of the folder; closed at the end of the test. */
  hooks(timeoutMs = 20_000, endMsMax?: number): Hooks {
    const log = pino({ base: null }, { write: line => this.log.push(JSON.parse(line)) });
    const hooks = new Hooks({
      ...{ folder: this.hooksFolder, timeoutMs, log },
      ...(endMsMax === undefined ? {} : { endMsMax }),
    });
    this.#t.teardown(() => hooks.close());
    return hooks;
  }

  /** What scripts wrote to a file; empty without one. */
  text(name: string): string {
    return fs.existsSync(this.path(name)) ? fs.readFileSync(this.path(name), 'utf8') : '';
  }

  /** The whole lines of a file. */
  lines(name: string): string[] {
    return this.text(name).split('\n').slice(0, -1);
  }

  /** The processes that scripts wrote down in `pids`. */
  pids(): number[] {
    return this.lines('pids').map(Number);
  }

  /** Whether none of them runs any more. */
  get allEnded(): boolean {
    return this.pids().every(pid => startTimeOf(pid) === 0);
  }
}
