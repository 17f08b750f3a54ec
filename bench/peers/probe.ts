/**
 * The client of the comparison, one process for all of its runs. It sends messages by schedule, also
 * while older ones are under way, so that a stall is seen by every message that it delays; a message
 * without an answer counts with the time that it has waited. Answers are counted by bytes, so they
 * may hold anything.
 *
 * Commands on stdin:
 *   trips PORT RATE MS         messages at RATE per second for MS; answers {samplesMs, unanswered}
 *   bulk PORT RAMP_MS MS       reads from the guest's bulk port; answers what came in MS after
 *                              RAMP_MS: {bytes, durationMs}
 *   watch PORT RATE            starts messages that go on until `watched`
 *   watched                    ends them; answers {answered, lost, longestMs, longestFromMs}
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { requiredText } from '../../common/options.ts';
import { connectOnce, untilLost } from '../../lab/client/connect.ts';
import { SilenceTracker } from '../../lab/client/silence.ts';
import { wallMs } from '../../lab/client/wall-clock.ts';
import { type Facts, ranDirectly, runWorker, type Worker } from '../../lab/client/worker.ts';

export const MESSAGE_BYTES = 64;
/** How long the last messages of a run may take. */
const ANSWER_MS_MAX = 4_000;
const CONNECT_MS_MAX = 6_000;
const OUTSTANDING_MAX = 4096;
/** More than any run can take. */
const BULK_BYTES = 1e12;

/** Messages over one connection: in order, so answers need no names. */
export class Trips {
  readonly samplesMs: number[] = [];
  readonly silences = new SilenceTracker();
  lost: string | undefined;
  readonly #socket: Socket;
  readonly #sentMs: number[] = [];
  readonly #message = Buffer.alloc(MESSAGE_BYTES, 'curling ');
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    untilLost(socket, chunk => this.#receive(chunk)).then(reason => {
      this.lost ??= reason;
    });
  }

  get outstanding(): number {
    return this.#sentMs.length;
  }

  send(): void {
    if (this.#socket.destroyed || this.#sentMs.length >= OUTSTANDING_MAX) return;
    this.#sentMs.push(wallMs());
    this.#socket.write(this.#message);
  }

  /** How long those have waited that have no answer. */
  waitingMs(): number[] {
    const nowMs = wallMs();
    return this.#sentMs.map(sentMs => nowMs - sentMs);
  }

  close(): void {
    this.lost ??= 'closed here';
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const nowMs = wallMs();
    this.silences.see(nowMs);
    this.#bytes += chunk.length;
    for (; this.#bytes >= MESSAGE_BYTES && this.#sentMs.length > 0; this.#bytes -= MESSAGE_BYTES)
      this.samplesMs.push(nowMs - this.#sentMs.shift()!);
  }
}

/**
 * Calls `act` at `rate` per second on average, at intervals that vary by half, so that they never march in step with
 * somebody's fixed interval; the result ends it.
 */
export function paced(rate: number, act: () => void): () => void {
  let nextMs = wallMs();
  let timer: NodeJS.Timeout;
  const step = () => {
    for (; nextMs <= wallMs(); nextMs += (1000 / rate) * (0.5 + Math.random())) act();
    timer = setTimeout(step, Math.max(0, nextMs - wallMs()));
  };
  step();
  return () => clearTimeout(timer);
}

export class Probe implements Worker {
  readonly #guest: string;
  #watched: { trips: Trips; end: () => void } | undefined;

  constructor(guest: string) {
    this.#guest = guest;
  }

  command(words: string[]): Promise<Facts> | Facts {
    const [verb, ...rest] = words;
    const [a = 0, b = 0, c = 0] = rest.map(Number);
    if (verb === 'trips') return this.trips(a, b, c);
    if (verb === 'bulk') return this.bulk(a, b, c);
    if (verb === 'watch') return this.watch(a, b);
    if (verb === 'watched') return this.watched();
    return { error: 'expected trips, bulk, watch or watched' };
  }

  async trips(port: number, rate: number, durationMs: number): Promise<Facts> {
    const trips = new Trips(await this.#connect(port));
    const end = paced(rate, () => trips.send());
    await sleep(durationMs);
    end();
    const deadlineMs = wallMs() + ANSWER_MS_MAX;
    while (trips.outstanding > 0 && trips.lost === undefined && wallMs() < deadlineMs)
      await sleep(5);
    const lost = trips.lost;
    trips.close();
    const samplesMs = [...trips.samplesMs, ...trips.waitingMs()];
    return { samplesMs, unanswered: trips.outstanding, ...(lost ? { lost } : {}) };
  }

  async bulk(port: number, rampMs: number, durationMs: number): Promise<Facts> {
    const socket = await this.#connect(port);
    let bytes = 0;
    const lost = untilLost(socket, chunk => {
      bytes += chunk.length;
    });
    socket.write(`${BULK_BYTES} 1\n`);
    await Promise.race([sleep(rampMs), lost]);
    const from = { bytes, atMs: wallMs() };
    const reason = await Promise.race([sleep(durationMs), lost]);
    const facts = { bytes: bytes - from.bytes, durationMs: wallMs() - from.atMs };
    socket.destroy();
    return { ...facts, ...(reason ? { lost: reason } : {}) };
  }

  async watch(port: number, rate: number): Promise<Facts> {
    const trips = new Trips(await this.#connect(port));
    this.#watched?.end();
    this.#watched = { trips, end: paced(rate, () => trips.send()) };
    return {};
  }

  watched(): Facts {
    const watched = this.#watched;
    if (!watched) return { error: 'nothing is watched' };
    this.#watched = undefined;
    watched.end();
    const { trips } = watched;
    const [longest] = trips.silences.longest(wallMs());
    const { lost } = trips;
    trips.close();
    return {
      answered: trips.samplesMs.length,
      lost: lost ?? null,
      longestMs: longest?.durationMs ?? 0,
      longestFromMs: longest?.startMs ?? 0,
    };
  }

  progress(): Facts {
    const answered = this.#watched?.trips.samplesMs.length ?? 0;
    return { answered, lost: this.#watched?.trips.lost ?? null };
  }

  async stop(): Promise<Facts> {
    this.#watched?.end();
    this.#watched?.trips.close();
    return {};
  }

  #connect(port: number): Promise<Socket> {
    if (!Number.isInteger(port) || port < 1)
      throw new CurlingError('CURLING_USAGE', `a port, got ${port}`);
    return connectOnce({ host: this.#guest, port }, CONNECT_MS_MAX);
  }
}

if (ranDirectly(import.meta.url)) {
  await runWorker(
    {
      program: 'bench probe',
      usage: '--guest IP',
      summary: 'Round trips, throughput and silences of a guest, as commands on stdin.',
      options: {
        guest: { type: 'string', value: 'IP', help: "the guest's address" },
      },
    },
    async ({ values }) => {
      return new Probe(requiredText('guest', values.guest));
    },
  );
}
