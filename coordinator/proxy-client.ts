/**
 * The coordinator's side of the proxy's control socket. When the proxy dies its drop filter stays, so losing it loses
 * packets and releases nothing; the client reconnects until it is closed and says so, and the owner sets the wanted
 * state again.
 */
import { EventEmitter } from 'node:events';
import { CurlingError, messageOf } from '../common/errors.ts';
import { QmpClient } from '../common/qmp/client.ts';
import type { JsonObject, QmpEvent } from '../common/qmp/messages.ts';

const RECONNECT_MS = 200;
/** The guest is stopped while an epoch is sealed. */
const SEAL_TIMEOUT_MS = 1_000;

interface ProxyEvents {
  /** The connection stands; the proxy's state is whatever it was left in. */
  connected: [];
  lost: [CurlingError];
  /** The first frame of this epoch waits in the proxy. */
  outputPending: [number];
  /** The proxy holds as much as it may. */
  bufferFull: [number];
}

/** What `query-status` of the proxy says, as far as the coordinator reads it. */
export interface ProxyStatus {
  state: 'hold' | 'pass' | 'bypass';
  tap: string;
  bridge: string;
  /** All that it holds; missing from a proxy that knows of one. */
  taps?: { tap: string }[];
  epoch: { open: number; sealed: number; released: number };
  held: { frames: number; bytes: number; framesMax: number; bytesMax: number };
  pending: boolean;
}

/** What `query-stats` of the proxy says, as far as the coordinator reads it: frames that were lost, and why. */
export interface ProxyCounters {
  kernelDrops: number;
  truncated: number;
  receiveErrors: number;
  sendErrors: number;
}

export class ProxyClient extends EventEmitter<ProxyEvents> {
  readonly #path: string;
  #client: QmpClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(path: string) {
    super();
    this.#path = path;
  }

  /**
   * Connects to the proxy at `path`, which must be there.
   * @throws CurlingError CURLING_CONNECT
   */
  static async connect(path: string): Promise<ProxyClient> {
    const proxy = new ProxyClient(path);
    await proxy.#connect();
    return proxy;
  }

  get connected(): boolean {
    return this.#client !== undefined;
  }

  /** Captures from now on; `epoch` is the number of the open epoch. Answers when nothing can pass any more. */
  async hold(epoch: number): Promise<void> {
    await this.#execute('hold', { epoch });
  }

  /** Sets the end of `epoch` behind everything that the guest has sent. Gives what the epoch holds. */
  async seal(epoch: number): Promise<{ bytes: number }> {
    const answer = (await this.#execute('seal', { epoch }, SEAL_TIMEOUT_MS)) as JsonObject;
    return { bytes: typeof answer.bytes === 'number' ? answer.bytes : 0 };
  }

  /** Lets every frame of the epochs up to `epoch` leave. */
  async release(epoch: number): Promise<void> {
    await this.#execute('release', { epoch });
  }

  async discard(): Promise<void> {
    await this.#execute('discard', {});
  }

  /** Releases everything that is held and opens the kernel's path. */
  async bypass(): Promise<void> {
    await this.#execute('bypass', {});
  }

  async status(): Promise<ProxyStatus> {
    return (await this.#execute('query-status', {})) as ProxyStatus;
  }

  async counters(): Promise<ProxyCounters> {
    return (await this.#execute('query-stats', {})) as ProxyCounters;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#client?.close();
  }

  /** Executes a command; one that timed out ends the connection, because it may still be carried out. */
  async #execute(command: string, args: JsonObject, timeoutMs?: number): Promise<unknown> {
    const client = this.#client;
    if (client) {
      try {
        return await client.execute(command, args, timeoutMs === undefined ? {} : { timeoutMs });
      } catch (error) {
        if (error instanceof CurlingError && error.code === 'CURLING_TIMEOUT') client.close();
        throw error;
      }
    }
    const text = `the proxy at ${this.#path} is not there; ${command} was not sent`;
    throw new CurlingError('CURLING_CONNECTION_LOST', text);
  }

  async #connect(): Promise<void> {
    const client = await QmpClient.connect(this.#path);
    this.#client = client;
    client.on('event', event => this.#onEvent(event));
    client.on('close', error => {
      this.#client = undefined;
      if (this.#closed) return;
      this.emit('lost', error);
      this.#reconnectLater();
    });
  }

  #reconnectLater(): void {
    this.#timer = setTimeout(async () => {
      try {
        await this.#connect();
        this.emit('connected');
      } catch (error) {
        if (!this.#closed && messageOf(error)) this.#reconnectLater();
      }
    }, RECONNECT_MS);
  }

  #onEvent(event: QmpEvent): void {
    const epoch = typeof event.data.epoch === 'number' ? event.data.epoch : 0;
    if (event.event === 'OUTPUT_PENDING') this.emit('outputPending', epoch);
    else if (event.event === 'BUFFER_FULL') this.emit('bufferFull', epoch);
  }
}
