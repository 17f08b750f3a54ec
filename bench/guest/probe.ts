/** Runs probe.c, which measures a guest from a process of its own, and reads its one line of JSON. */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { CurlingError } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import { GUEST_ADDRESS, GUEST_MAC } from '../../lab/addresses.ts';
import type { Lab } from '../../lab/lab.ts';
import type { LabNode } from '../../lab/node.ts';
import { inRepository } from '../../lab/paths.ts';

const SOURCE = inRepository('bench/guest/probe.c');
const CACHE = inRepository('build/bench-probe');
const FLAGS = ['-O2', '-Wall', '-Wextra'];
const COMPILE_MS_MAX = 120_000;
/** Above every time that a run of the probe takes beyond what it was told to measure. */
const SLACK_MS = 70_000;
const OUTPUT_BYTES_MAX = 16 << 20;
const DURING_MS_MAX = 60_000;

type Words = readonly (string | number)[];

/** Messages over one connection. */
export interface Trips {
  sent: number;
  received: number;
  /** Not sent, because too many were under way. */
  skipped: number;
  /** Answers that were not what they must be. */
  wrong: number;
  /** Why the connection was lost; empty when it was not. */
  lost: string;
  /** The longest time without a byte from the guest, and when it began. Microseconds. */
  silenceUs: number;
  silenceAtUs: number;
  tripsUs: number[];
}

export interface Transfer {
  bytes: number;
  us: number;
}

export interface Answer {
  us: number;
  text: string;
}

/**
 * The probe's program, compiled if need be.
 * @throws CurlingError CURLING_TOOL_MISSING, CURLING_TOOL_FAILED
 */
export async function buildProbe(): Promise<string> {
  const digest = createHash('sha256').update(FLAGS.join(' ')).update(readFileSync(SOURCE));
  const program = join(CACHE, `probe-${digest.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return program;
  mkdirSync(CACHE, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  await run('gcc', [...FLAGS, '-o', unfinished, SOURCE], { timeoutMs: COMPILE_MS_MAX });
  renameSync(unfinished, program);
  return program;
}

export class Probe {
  readonly #program: string;
  readonly #lab: Lab;

  /** For the guest of a lab. @throws as buildProbe */
  static async make(lab: Lab): Promise<Probe> {
    return new Probe(lab, await buildProbe());
  }

  private constructor(lab: Lab, program: string) {
    this.#lab = lab;
    this.#program = program;
  }

  /** Messages at `rate` per second on average, for `ms`; `random`: the answers must differ from the questions. */
  async trips(port: number, rate: number, ms: number, random = false): Promise<Trips> {
    const kind = random ? 'random' : 'same';
    const words = ['trips', GUEST_ADDRESS, port, rate, ms, kind];
    return (await this.#ask(this.#lab.client, words, ms)) as Trips;
  }

  /** The same as long as `work` goes on, at most a minute; resolves when it has ended and all is answered. */
  async tripsDuring<T>(port: number, rate: number, work: () => Promise<T>): Promise<[T, Trips]> {
    const words = ['trips', GUEST_ADDRESS, port, rate, DURING_MS_MAX, 'same'];
    const child = this.#spawn(this.#lab.client, words);
    let ready!: () => void;
    const connected = new Promise<void>(resolve => {
      ready = resolve;
    });
    const answer = this.#answer(child, words, DURING_MS_MAX, ready);
    answer.catch(() => {});
    try {
      await Promise.race([connected, answer]);
      const result = await work();
      child.kill('SIGTERM');
      return [result, (await answer) as Trips];
    } finally {
      child.kill('SIGTERM');
    }
  }

  /** From the guest (`fetch`) or to it (`feed`), for `ms`, after `warmMs` that do not count. */
  async transfer(
    way: 'fetch' | 'feed',
    port: number,
    warmMs: number,
    ms: number,
  ): Promise<Transfer> {
    const words = [way, GUEST_ADDRESS, port, warmMs, ms];
    return (await this.#ask(this.#lab.client, words, warmMs + ms)) as Transfer;
  }

  /** Says lines to a port of the guest, one after the other. */
  async ask(port: number, ...lines: string[]): Promise<Answer[]> {
    const words = ['ask', GUEST_ADDRESS, port, ...lines];
    const { answers } = (await this.#ask(this.#lab.client, words, 0)) as { answers: Answer[] };
    return answers;
  }

  /**
   * Watches for the guest's first frame that enters the LAN from `host`.
   * @returns when it watches: how to wait for the frame's time, wall clock in microseconds; undefined when none comes
   *   within `ms`
   */
  async firstFrame(host: string, ms: number): Promise<() => Promise<number | undefined>> {
    let ready!: () => void;
    const watching = new Promise<void>(resolve => {
      ready = resolve;
    });
    const words = ['first', this.#lab.lan.port(host), GUEST_MAC, ms];
    const answer = this.#ask(this.#lab.lan, words, ms, ready) as Promise<{ atUs: number }>;
    answer.catch(() => {});
    await Promise.race([watching, answer]);
    return async () => (await answer).atUs || undefined;
  }

  #ask(node: LabNode, words: Words, ms: number, started: () => void = () => {}): Promise<unknown> {
    return this.#answer(this.#spawn(node, words), words, ms, started);
  }

  #spawn(node: LabNode, words: Words): ChildProcess {
    return node.spawn(this.#program, words.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** The last line that the probe says. */
  #answer(
    child: ChildProcess,
    words: Words,
    ms: number,
    started: () => void = () => {},
  ): Promise<unknown> {
    const timer = setTimeout(() => child.kill('SIGKILL'), ms + SLACK_MS);
    let said = '';
    let complaint = '';
    child.stdout!.setEncoding('latin1').on('data', (text: string) => {
      said += text;
      started();
      if (said.length > OUTPUT_BYTES_MAX) child.kill('SIGKILL');
    });
    child.stderr!.setEncoding('latin1').on('data', (text: string) => {
      complaint = (complaint + text).slice(-1000);
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => {
        clearTimeout(timer);
        if (status === 0) return resolve(JSON.parse(said.trim().split('\n').at(-1)!));
        const why = complaint.trim() || `ended with ${signal ?? status}`;
        reject(new CurlingError('CURLING_TOOL_FAILED', `probe ${words[0]}: ${why}`));
      });
    });
  }
}
