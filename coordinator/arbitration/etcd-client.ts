/**
 * Transactions in an etcd cluster, over its JSON gateway and connections that are kept. The
 * endpoints are tried in turn, each for its share of the time that a request has. A transaction
 * that writes goes on to the next endpoint only while it surely was not sent: once it may have
 * been, its outcome is unknown, and the error says so.
 */
import http from 'node:http';
import https from 'node:https';
import { CurlingError, type ErrorCode } from '../../common/errors.ts';
import { EndpointOrder } from './endpoint-order.ts';
import { postJson } from './etcd-http.ts';
import {
  ANSWER_BYTES_MAX,
  encodeTransaction,
  errorText,
  parseTransactionAnswer,
  type Transaction,
  type TransactionAnswer,
} from './etcd-messages.ts';
import type { EtcdConfig } from './etcd-options.ts';

/** Requests under way at once, and connections to one endpoint. */
const PENDING_MAX = 8;
/** Codes that say more than that etcd did not answer. */
const TELLING: readonly ErrorCode[] = [
  'CURLING_WITNESS_STORE',
  'CURLING_WITNESS_EMPTY',
  'CURLING_REGISTER',
];

export class EtcdClient {
  readonly counters = { requests: 0, failures: 0, connections: 0, connectFailures: 0 };
  /** "etcd at https://…", for messages. */
  readonly name: string;
  readonly #endpoints: readonly URL[];
  readonly #agents: Record<string, http.Agent>;
  readonly #order: EndpointOrder;
  readonly #requestTimeoutMs: number;
  readonly #closing = new AbortController();
  #pending = 0;
  #answered = false;
  #lastError: CurlingError | undefined;

  /** @param requestTimeoutMs For each `ask`, whatever it takes. Milliseconds. */
  constructor(config: EtcdConfig, requestTimeoutMs: number) {
    const { endpoints, ...credentials } = config;
    this.#endpoints = endpoints.map(origin => new URL('/v3/kv/txn', origin));
    this.name = `etcd at ${endpoints.map(({ origin }) => origin).join(', ')}`;
    const kept = { keepAlive: true, maxSockets: PENDING_MAX };
    this.#agents = {
      'http:': new http.Agent(kept),
      'https:': new https.Agent({ ...kept, ...credentials, minVersion: 'TLSv1.2' }),
    };
    this.#order = new EndpointOrder(endpoints.length);
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** Whether the last request was answered. */
  get connected(): boolean {
    return this.#answered;
  }

  /** Why the last request failed; undefined since one succeeded. */
  get lastError(): CurlingError | undefined {
    return this.#lastError;
  }

  /**
   * One request of the caller's, which may take several transactions.
   * @param what For the error's message: `swap`.
   * @param work Gets the moment at which it has to be done, by `performance.now()`.
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE when etcd did not answer, CURLING_REGISTER for
   *   rubbish, CURLING_BUSY with too many requests under way, and what `work` throws of its own.
   */
  async ask<T>(what: string, work: (deadlineMs: number) => Promise<T>): Promise<T> {
    this.counters.requests++;
    if (this.#pending >= PENDING_MAX) {
      this.counters.failures++;
      throw new CurlingError('CURLING_BUSY', `${PENDING_MAX} requests are under way to etcd`);
    }
    this.#pending++;
    try {
      const result = await work(performance.now() + this.#requestTimeoutMs);
      this.#answered = true;
      this.#lastError = undefined;
      return result;
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
      this.counters.failures++;
      this.#lastError = this.#explain(what, error);
      this.#answered = false;
      throw this.#lastError;
    } finally {
      this.#pending--;
    }
  }

  /**
   * Runs one transaction, at the first endpoint that answers.
   * @throws CurlingError; with `put` its outcome is unknown then.
   */
  async transact(transaction: Transaction, deadlineMs: number): Promise<TransactionAnswer> {
    const order = this.#order.order(performance.now());
    const repeatable = transaction.put === undefined;
    const errors: CurlingError[] = [];
    for (const [position, index] of order.entries()) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) break;
      const share = leftMs / (order.length - position);
      const limits = { connectMs: share, totalMs: repeatable ? share : leftMs };
      try {
        const answer = await this.#attempt(this.#endpoints[index]!, transaction, limits);
        this.#order.answered(index);
        return answer;
      } catch (error) {
        if (!(error instanceof CurlingError)) throw error;
        this.#order.failed(index, performance.now());
        errors.push(error);
        if (error.code === 'CURLING_CONNECT') this.counters.connectFailures++;
        else if (!repeatable) throw error;
      }
    }
    const last = errors.find(({ code }) => code === 'CURLING_REGISTER') ?? errors.at(-1);
    throw last ?? new CurlingError('CURLING_TIMEOUT', 'no time was left');
  }

  /** Ends every request and connection. */
  close(): void {
    this.#closing.abort();
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #attempt(
    url: URL,
    transaction: Transaction,
    limits: { connectMs: number; totalMs: number },
  ): Promise<TransactionAnswer> {
    const { status, text } = await postJson(
      url,
      this.#agents[url.protocol]!,
      encodeTransaction(transaction),
      { ...limits, answerBytesMax: ANSWER_BYTES_MAX },
      this.#closing.signal,
      () => {
        this.counters.connections++;
      },
    );
    if (status === 200) return parseTransactionAnswer(text, transaction);
    const words = `${url.origin} answered HTTP ${status}: ${errorText(text)}`;
    throw new CurlingError('CURLING_MESSAGE', words);
  }

  #explain(what: string, error: CurlingError): CurlingError {
    if (TELLING.includes(error.code)) return error;
    const text = `${this.name} did not answer ${what}: ${error.message}`;
    return new CurlingError('CURLING_WITNESS_UNREACHABLE', text, { cause: error });
  }
}
