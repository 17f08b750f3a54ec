/** The coordinator's hold on its proxy: proxy-client.ts and output-gate.ts, in their order. */
import { asCurlingError } from '../../common/errors.ts';
import type { SimHost } from './host.ts';
import { TIMES } from './life.ts';
import { type Answer, LocalConnection, type SimProcess } from './process.ts';
import type { SimProxy } from './proxy.ts';

const HOLD_ATTEMPTS = 20;

export interface GateHooks {
  /** The epoch that is open, or is to be, while output is held. */
  nextEpoch(): number;
  pending(epoch: number): void;
}

export class SimGate {
  readonly #process: SimProcess;
  readonly #host: SimHost;
  readonly #hooks: GateHooks;
  #connection: LocalConnection | undefined;
  #proxy: SimProxy | undefined;
  #wanted: 'held' | 'free' = 'held';

  constructor(process: SimProcess, host: SimHost, hooks: GateHooks) {
    this.#process = process;
    this.#host = host;
    this.#hooks = hooks;
  }

  /** Connects to the proxy that is there; false when none is. */
  connect(): boolean {
    const proxy = this.#host.proxy;
    if (!proxy?.process.alive) return false;
    this.#proxy = proxy;
    const connection = new LocalConnection(this.#process, proxy.process, () => {
      this.#connection = undefined;
      this.#reconnectLater();
    });
    this.#connection = connection;
    proxy.serve(connection, epoch => this.#hooks.pending(epoch));
    return true;
  }

  /** The number of the epoch that is open in the proxy. */
  openEpoch(done: Answer<number>): void {
    this.#execute(proxy => proxy.status().openEpoch, done);
  }

  hold(epoch: number | null, done: Answer<void>): void {
    this.#wanted = 'held';
    if (epoch !== null) return this.#execute(proxy => proxy.hold(epoch), done);
    this.openEpoch((error, open) => {
      if (error) done(error);
      else this.#execute(proxy => proxy.hold(open!), done);
    });
  }

  open(done: () => void): void {
    this.#wanted = 'free';
    this.#execute(proxy => proxy.bypass(), done);
  }

  discard(done: () => void): void {
    this.#execute(proxy => proxy.discard(), done);
  }

  seal(epoch: number, done: Answer<void>): void {
    const sealed: Answer<void> = error => {
      if (error && this.#connection) this.#reopen(1, () => done(error));
      else done(error);
    };
    this.#execute(proxy => proxy.seal(epoch), sealed, TIMES.sealTimeoutMs);
  }

  release(epoch: number): void {
    if (this.#connection)
      this.#execute(
        proxy => proxy.release(epoch),
        () => {},
      );
  }

  /** Looks whether the proxy is in the wanted state, and sets it right. */
  check(): void {
    if (!this.#connection) return;
    this.#execute(
      proxy => proxy.status().state,
      (error, state) => {
        if (!error && state === 'hold' && this.#wanted === 'free') this.open(() => {});
      },
    );
  }

  #execute<T>(
    command: (proxy: SimProxy) => T,
    done: Answer<T>,
    timeoutMs: number = TIMES.commandTimeoutMs,
  ): void {
    const proxy = this.#proxy;
    if (this.#connection && proxy) {
      this.#connection.call(() => command(proxy), done, timeoutMs);
    } else done(new Error('the proxy is not there'));
  }

  #reconnectLater(): void {
    this.#process.timer(TIMES.reconnectMs, () => {
      if (!this.connect()) return this.#reconnectLater();
      if (this.#wanted === 'free') this.open(() => {});
      else this.#reopen(1, () => {});
    });
  }

  /** Opens the next epoch in a proxy that holds nothing. */
  #reopen(attempt: number, done: () => void): void {
    this.#execute(
      proxy => proxy.discard(),
      error => {
        if (error || this.#wanted !== 'held') return done();
        const epoch = this.#hooks.nextEpoch();
        this.#execute(
          proxy => proxy.hold(epoch),
          failure => {
            const again = failure && asCurlingError(failure).code === 'CURLING_EPOCH';
            if (again && attempt < HOLD_ATTEMPTS && this.#wanted === 'held')
              return this.#reopen(attempt + 1, done);
            done();
          },
        );
      },
    );
  }
}
