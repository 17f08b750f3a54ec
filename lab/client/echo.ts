/**
 * Echo round trips at a steady rate over one TCP connection that is never made again. Messages
 * are sent by schedule, also while older ones are under way, so that a stall is seen by every
 * message that it delays.
 *
 * Command on stdin: `label NAME`: round trips that start from now on are counted under NAME as
 * well.
 */
import type { Socket } from 'node:net';
import { requiredText, type TcpAddress, tcpAddress, wholeNumber } from '../../common/options.ts';
import { connectOnce, untilLost } from './connect.ts';
import { EchoStream } from './echo-stream.ts';
import { type Percentiles, RoundTrips } from './round-trips.ts';
import { type Silence, SilenceTracker } from './silence.ts';
import { wallMs } from './wall-clock.ts';
import { type Facts, ranDirectly, runWorker, type Worker } from './worker.ts';

export interface EchoOptions {
  to: TcpAddress;
  /** Messages per second. */
  rate: number;
  messageBytes: number;
}

export interface EchoSummary {
  sent: number;
  skipped: number;
  outstanding: number;
  wrongBytes: number;
  firstWrongAt: number | undefined;
  /** Why and when the connection was lost, if it was. */
  lost: { reason: string; atMs: number } | undefined;
  roundTrips: Percentiles;
  labels: Record<string, Percentiles>;
  /** Longest times without any byte from the guest, longest first. */
  silences: Silence[];
}

const OUTSTANDING_MAX = 4096;
const BATCH_MAX = 64;

export class EchoClient implements Worker {
  readonly #socket: Socket;
  readonly #stream: EchoStream;
  readonly #trips = new RoundTrips();
  readonly #silences = new SilenceTracker();
  readonly #timer: NodeJS.Timeout;
  readonly #startMs = wallMs();
  readonly #rate: number;
  readonly lost: Promise<string>;
  #label = 'start';
  #due = 0;
  #stopped = false;
  #lost: { reason: string; atMs: number } | undefined;

  /** Connects and starts. @throws CurlingError CURLING_CONNECT */
  static async start(options: EchoOptions): Promise<EchoClient> {
    return new EchoClient(await connectOnce(options.to), options);
  }

  private constructor(socket: Socket, options: EchoOptions) {
    this.#socket = socket;
    this.#rate = options.rate;
    this.#stream = new EchoStream(options.messageBytes, OUTSTANDING_MAX);
    this.lost = untilLost(socket, chunk => this.#receive(chunk)).then(reason => this.#end(reason));
    this.#timer = setInterval(() => this.#send(), Math.max(1, 1000 / options.rate));
  }

  /** Counts the messages sent from now on under this name as well. */
  label(name: string): void {
    this.#label = name;
  }

  command([verb, name]: string[]): Facts {
    if (verb !== 'label' || !name) return { error: 'expected label NAME' };
    this.label(name);
    return { label: name };
  }

  progress(): Facts {
    return { ...this.summary() };
  }

  /** What was seen so far. */
  summary(): EchoSummary {
    const stream = this.#stream;
    return {
      sent: stream.sent,
      skipped: stream.skipped,
      outstanding: stream.outstanding,
      wrongBytes: stream.wrongBytes,
      firstWrongAt: stream.firstWrongAt,
      lost: this.#lost,
      roundTrips: this.#trips.total(),
      labels: this.#trips.labels(),
      silences: this.#silences.longest(this.#stopped ? undefined : wallMs()),
    };
  }

  /** Waits at most 2 s for what is under way, then closes the connection. */
  async stop(): Promise<Facts> {
    clearInterval(this.#timer);
    const until = wallMs() + 2000;
    while (this.#stream.outstanding > 0 && !this.#lost && wallMs() < until)
      await new Promise(resolve => setTimeout(resolve, 10));
    this.#stopped = true;
    const summary = this.summary();
    this.#socket.destroy();
    return { ...summary };
  }

  #send(): void {
    const due = Math.floor(((wallMs() - this.#startMs) * this.#rate) / 1000) - this.#due;
    this.#due += due;
    // After a stall of this process itself the rest is left out: the guest is not to blame for it.
    for (let i = 0; i < Math.min(due, BATCH_MAX); i++) {
      const message = this.#stream.send(wallMs(), this.#label);
      if (message) this.#socket.write(message);
    }
  }

  #receive(chunk: Buffer): void {
    const nowMs = wallMs();
    this.#silences.see(nowMs);
    for (const trip of this.#stream.receive(chunk, nowMs)) this.#trips.add(trip.label, trip.ms);
  }

  #end(reason: string): string {
    clearInterval(this.#timer);
    if (!this.#stopped) this.#lost = { reason, atMs: wallMs() };
    return reason;
  }
}

if (ranDirectly(import.meta.url)) {
  await runWorker(
    {
      program: 'lab echo',
      usage: '--to HOST:PORT [--rate N] [--bytes N]',
      summary: 'Echo round trips over one connection.',
      options: {
        to: { type: 'string', value: 'HOST:PORT', help: 'the echo server' },
        rate: { type: 'string', value: 'N', default: '50', help: 'messages per second' },
        bytes: { type: 'string', value: 'N', default: '64', help: 'bytes of a message' },
      },
    },
    ({ values }) =>
      EchoClient.start({
        to: tcpAddress('to', requiredText('to', values.to)),
        rate: wholeNumber('rate', values.rate, 1, 10_000),
        messageBytes: wholeNumber('bytes', values.bytes, 1, 65_536),
      }),
  );
}
