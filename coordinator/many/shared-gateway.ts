/**
 * The gateways of a machine that has a thread of its own. Raw sockets are used by one thread alone (the package is not made
 * for several), so the main thread asks, and the machine's thread sees the answers in memory that both have. What counts is
 * the time of an answer, as in arbitration/gateway.ts: a main thread that hangs makes a gateway unreachable, never reachable.
 */
import { EventEmitter } from 'node:events';
import type { Clock } from '../../common/clock.ts';
import type { GatewayMonitor } from '../arbitration/gateway.ts';
import { silenceText } from '../arbitration/gateway.ts';
import type { Gateway, GatewayEvents, GatewayProbe } from '../gateway-probe.ts';

/** How often answers are passed on, and looked at. */
const LOOK_MS = 50;

type Counters = GatewayMonitor['counters'];
const COUNTERS = ['sent', 'answered', 'strange', 'forgotten'] as const satisfies (keyof Counters)[];
/** 64-bit words: microseconds of the newest answered request, 0 for none; then the counters. */
const WORDS = 1 + COUNTERS.length;
const US_PER_MS = 1_000;

/** The main thread's side: passes on what a probe finds until it is closed. */
export class GatewaySource {
  readonly shared = new SharedArrayBuffer(WORDS * BigInt64Array.BYTES_PER_ELEMENT);
  readonly #probe: GatewayProbe;
  readonly #timer: NodeJS.Timeout;

  /** Takes the probe over. */
  constructor(probe: GatewayProbe) {
    this.#probe = probe;
    const words = new BigInt64Array(this.shared);
    this.#timer = setInterval(() => {
      const { answeredAt, counters } = probe.monitor;
      COUNTERS.forEach((name, index) => {
        Atomics.store(words, 1 + index, BigInt(counters[name]));
      });
      if (answeredAt > 0) Atomics.store(words, 0, BigInt(Math.round(answeredAt * US_PER_MS)));
    }, LOOK_MS).unref();
  }

  probe(): void {
    this.#probe.probe();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#probe.close();
  }
}

/** The machine's side. */
export class SharedGateway extends EventEmitter<GatewayEvents> implements Gateway {
  readonly addresses: readonly string[];
  readonly #words: BigInt64Array;
  readonly #freshMs: number;
  readonly #clock: Clock;
  readonly #ask: () => void;
  readonly #timer: NodeJS.Timeout;
  #said: boolean | undefined;

  /**
   * @param ask Has the main thread ask now.
   * @param freshMs As GatewayOptions.
   */
  constructor(
    shared: SharedArrayBuffer,
    addresses: readonly string[],
    clock: Clock,
    ask: () => void,
    freshMs = 1_000,
  ) {
    super();
    this.#words = new BigInt64Array(shared);
    this.addresses = addresses;
    this.#clock = clock;
    this.#ask = ask;
    this.#freshMs = freshMs;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  get counters(): Counters {
    const read = (name: (typeof COUNTERS)[number]) =>
      Number(Atomics.load(this.#words, 1 + COUNTERS.indexOf(name)));
    const [sent, answered, strange, forgotten] = COUNTERS.map(read);
    return { sent: sent!, answered: answered!, strange: strange!, forgotten: forgotten! };
  }

  get reachable(): boolean {
    const answeredAt = Number(Atomics.load(this.#words, 0)) / US_PER_MS;
    return answeredAt > 0 && this.#clock.now() - answeredAt <= this.#freshMs;
  }

  get text(): string {
    return silenceText(this.addresses);
  }

  probe(): void {
    this.#ask();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { reachable } = this;
    if (reachable === this.#said) return;
    // As the probe itself: silence means something only when there was time for an answer.
    if (!reachable && this.#said === undefined && this.counters.sent < 3) return;
    this.#said = reachable;
    this.emit('change', reachable);
  }
}
