/**
 * The register in a curling-witness. Keeps one connection, opens it again with growing pauses, and
 * gives every request a limit of time. A request that throws has an UNKNOWN outcome, even where it
 * probably was not sent: read again.
 *
 * A connection on which a request timed out is given up, for its later answers could come long
 * after the question. The witness must stay the one that was configured, or seen first, and must
 * never tell of an older generation than before; otherwise it lost its memory, and nothing it says
 * may be believed. A register that the operator had forgotten is absent, and its generation is told
 * with that.
 */
import { CurlingError, type ErrorCode, messageOf } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { isObject, type JsonObject } from '../../common/qmp/messages.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import type { Register, RegisterBackend, SwapRequest, SwapResult } from './register.ts';
import { parseGeneration, parseIdentity, parseRegister } from './register-json.ts';
import { StoreMemory } from './store-memory.ts';

export interface WitnessClientOptions {
  /** The store id that must be found there; by default whatever is found first. */
  store?: string;
  /** Undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** Milliseconds for one request, waiting for a connection included. Default 1,000. */
  requestTimeoutMs?: number;
  /**
   * The pause before the second attempt to connect; it doubles each time. Milliseconds, default 50.
   */
  backOffMs?: number;
  /** The longest pause. Milliseconds, default 250: a decision may wait for it. */
  backOffMsMax?: number;
}

/** An answer has a register of about 600 bytes; a status is not asked for here. */
const ANSWER_BYTES_MAX = 64 << 10;
const PENDING_MAX = 8;

/** Errors that say more than that the witness did not answer. */
const TOLD_AS_IT_IS: readonly ErrorCode[] = [
  'CURLING_WITNESS_STORE',
  'CURLING_WITNESS_UNREACHABLE',
  'CURLING_REGISTER',
  'CURLING_IDENTITY',
  'CURLING_BUSY',
];

interface Waiter {
  resolve(client: QmpClient): void;
  reject(error: CurlingError): void;
  timer?: NodeJS.Timeout;
}

export class WitnessClient implements RegisterBackend {
  readonly counters = { requests: 0, failures: 0, connections: 0, connectFailures: 0 };
  readonly #address: TcpAddress;
  readonly #options: Required<Omit<WitnessClientOptions, 'store' | 'credentials'>>;
  readonly #credentials: Credentials | undefined;
  readonly #memory: StoreMemory;
  #client: QmpClient | undefined;
  readonly #waiting = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #pauseMs: number;
  #lastError: CurlingError | undefined;
  #closed = false;

  /** Begins to connect at once. */
  constructor(address: TcpAddress, options: WitnessClientOptions = {}) {
    const { store, credentials, ...rest } = options;
    this.#address = address;
    this.#credentials = credentials;
    this.#memory = new StoreMemory(`the witness at ${address.host}:${address.port}`, store);
    this.#options = { requestTimeoutMs: 1_000, backOffMs: 50, backOffMsMax: 250, ...rest };
    this.#pauseMs = this.#options.backOffMs;
    this.#connect();
  }

  /** Whether a connection stands at this moment. */
  get connected(): boolean {
    return this.#client !== undefined;
  }

  /** Why the last attempt to connect or to ask failed; undefined since one succeeded. */
  get lastError(): CurlingError | undefined {
    return this.#lastError;
  }

  /** @throws CurlingError CURLING_WITNESS_UNREACHABLE, CURLING_WITNESS_STORE */
  async storeId(): Promise<string> {
    const answer = await this.#request('query-store', {});
    return parseIdentity('store', answer.store);
  }

  /** @throws CurlingError CURLING_WITNESS_UNREACHABLE, CURLING_WITNESS_STORE, CURLING_REGISTER */
  async read(vm: string): Promise<Register | null> {
    const known = this.#memory.generationOf(vm);
    return this.#registerOf(vm, await this.#request('read', { vm }), known);
  }

  /**
   * Asks for a transition. Whether it was granted to the asker is in the register, not in
   * `swapped`: a repeated request is refused although the first one was granted.
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE with an unknown outcome,
   *   CURLING_WITNESS_STORE, CURLING_REGISTER
   */
  async swap(request: SwapRequest): Promise<SwapResult> {
    const known = this.#memory.generationOf(request.vm);
    const answer = await this.#request('swap', { ...request });
    const register = this.#registerOf(request.vm, answer, known);
    return { swapped: answer.swapped === true, register };
  }

  /** Ends the connection and every attempt to open one. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#client?.close();
    this.#settle(this.#waiting, new CurlingError('CURLING_CONNECT', 'it was closed here'));
  }

  async #request(command: string, args: JsonObject): Promise<JsonObject> {
    this.counters.requests++;
    const deadline = performance.now() + this.#options.requestTimeoutMs;
    let client: QmpClient | undefined;
    try {
      client = await this.#connected();
      const timeoutMs = Math.max(1, deadline - performance.now());
      const answer = await client.execute(command, args, { timeoutMs });
      if (!isObject(answer)) throw new CurlingError('CURLING_MESSAGE', 'expected an object');
      this.#lastError = undefined;
      return answer;
    } catch (error) {
      this.counters.failures++;
      if (error instanceof CurlingError && error.code === 'CURLING_TIMEOUT') client?.close();
      throw this.#explain(command, error);
    }
  }

  /** The connection that stands, or the one of the next attempt, within the time of a request. */
  #connected(): Promise<QmpClient> {
    if (this.#client) return Promise.resolve(this.#client);
    if (this.#closed)
      return Promise.reject(new CurlingError('CURLING_CONNECT', 'it was closed here'));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject };
      this.#waiting.add(waiter);
      const timer = setTimeout(() => {
        const text = `no connection within ${this.#options.requestTimeoutMs} ms`;
        this.#settle([waiter], this.#lastError ?? new CurlingError('CURLING_TIMEOUT', text));
      }, this.#options.requestTimeoutMs);
      waiter.timer = timer;
    });
  }

  #settle(waiters: Iterable<Waiter>, outcome: QmpClient | CurlingError): void {
    for (const waiter of waiters) {
      this.#waiting.delete(waiter);
      clearTimeout(waiter.timer);
      if (outcome instanceof CurlingError) waiter.reject(outcome);
      else waiter.resolve(outcome);
    }
  }

  #connect(): void {
    this.#open().then(
      client => this.#opened(client),
      error => this.#retryLater(error),
    );
  }

  async #open(): Promise<QmpClient> {
    const timeoutMs = this.#options.requestTimeoutMs;
    const client = await QmpClient.connect(this.#address, {
      credentials: this.#credentials,
      connectTimeoutMs: timeoutMs,
      commandTimeoutMs: timeoutMs,
      lineBytesMax: ANSWER_BYTES_MAX,
      pendingMax: PENDING_MAX,
    });
    try {
      const answer = await client.execute('query-store');
      this.#memory.checkStore(parseIdentity('store', isObject(answer) ? answer.store : answer));
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  #opened(client: QmpClient): void {
    if (this.#closed) return client.close();
    if (client.closedBy) return this.#retryLater(client.closedBy);
    this.counters.connections++;
    this.#client = client;
    this.#pauseMs = this.#options.backOffMs;
    this.#lastError = undefined;
    this.#settle(this.#waiting, client);
    client.once('close', error => {
      this.#client = undefined;
      this.#retryLater(error);
    });
  }

  #retryLater(error: unknown): void {
    if (this.#closed) return;
    this.counters.connectFailures++;
    this.#lastError = this.#explain('connect', error);
    this.#settle(this.#waiting, this.#lastError);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#connect();
    }, this.#pauseMs);
    this.#pauseMs = Math.min(this.#options.backOffMsMax, this.#pauseMs * 2);
  }

  /** @param known The generation that was known before the question was asked. */
  #registerOf(vm: string, answer: JsonObject, known: number): Register | null {
    const register = answer.register === null ? null : parseRegister(answer.register);
    // An absent register without a generation was never there.
    const forgotten = register ? 0 : parseGeneration('generation', answer.generation ?? 0, 0);
    this.#memory.accept(vm, register, forgotten, known);
    return register;
  }

  #explain(command: string, error: unknown): CurlingError {
    if (error instanceof CurlingError && TOLD_AS_IT_IS.includes(error.code)) return error;
    const { host, port } = this.#address;
    const text = `the witness at ${host}:${port} did not answer ${command}: ${messageOf(error)}`;
    return new CurlingError('CURLING_WITNESS_UNREACHABLE', text, { cause: error });
  }
}
