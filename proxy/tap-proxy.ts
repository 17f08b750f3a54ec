/**
 * The proxy as a whole: the datapath's thread and the place on the bridge, in one of two states.
 *
 * | state  | the guest's frames                    | hold       | seal | release | discard | bypass    |
 * |--------|---------------------------------------|------------|------|---------|---------|-----------|
 * | hold   | captured, held, sent when released    | sets epoch | yes  | yes     | yes     | to bypass |
 * | bypass | go straight to the bridge             | to hold    | no   | no-op   | no-op   | no-op     |
 *
 * A frame never leaves twice: on the way to hold the tap is closed before capture starts, on the way to bypass capture
 * has stopped, and all of it has left, before the tap opens. Frames of the few milliseconds between are lost, as on a
 * network. Commands that change the state run one after the other.
 */
import { EventEmitter } from 'node:events';
import { asCurlingError, type CurlingError, messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { BridgeSite, type TapSite } from './bridge.ts';
import { DatapathThread } from './datapath-thread.ts';
import type { FrameCount } from './epoch-ring.ts';
import { type LinkState, LinkWatch } from './link-watch.ts';
import type { DatapathCounters, DatapathStatus } from './thread-messages.ts';

export type ProxyState = 'hold' | 'bypass';

export interface ProxyOptions {
  initial: ProxyState;
  /** All memory for held frames. */
  bufferBytes: number;
}

export interface ProxyStatus extends Omit<DatapathStatus, 'capturing'> {
  state: ProxyState;
  tap: string;
  bridge: string;
  port: string;
}

interface ProxyEvents {
  pending: [epoch: number];
  full: [epoch: number];
  link: [LinkState | 'gone'];
  /** Once: the proxy cannot go on. */
  failed: [CurlingError];
}

/** How many epochs may be sealed and wait for their release. */
const EPOCHS_MAX = 1024;

export class TapProxy extends EventEmitter<ProxyEvents> {
  readonly #bridge: BridgeSite;
  readonly #thread: DatapathThread;
  readonly #log: Logger;
  #watch: LinkWatch | undefined;
  #state: ProxyState = 'bypass';
  #last: Promise<unknown> = Promise.resolve();

  private constructor(bridge: BridgeSite, thread: DatapathThread, log: Logger) {
    super();
    this.#bridge = bridge;
    this.#thread = thread;
    this.#log = log;
    thread.on('pending', epoch => this.emit('pending', epoch));
    thread.on('full', epoch => {
      log.warn({ epoch }, 'the buffer is full: no further frame is captured until there is room');
      this.emit('full', epoch);
    });
    thread.on('guestMac', mac => void this.#placeGuest(mac));
    thread.on('failed', error => this.emit('failed', error));
  }

  /**
   * Inserts the proxy at `site` and brings it to its initial state. When that fails, the tap is left as it was found.
   * @throws CurlingError of the datapath and of the bridge.
   */
  static async start(site: TapSite, options: ProxyOptions, log: Logger): Promise<TapProxy> {
    const bridge = new BridgeSite(site);
    const thread = await DatapathThread.start({
      tapIndex: site.tap.index,
      port: bridge.port,
      bufferBytes: options.bufferBytes,
      epochsMax: EPOCHS_MAX,
    });
    const proxy = new TapProxy(bridge, thread, log);
    try {
      await bridge.insertPort();
      await proxy.#becomeInitial(options.initial);
    } catch (error) {
      await thread.stop();
      if (!site.closed) await bridge.leave().catch(() => undefined);
      throw error;
    }
    proxy.#startWatch();
    return proxy;
  }

  get state(): ProxyState {
    return this.#state;
  }

  /**
   * Holds the guest's output from now on, under `epoch`; in hold, sets the open epoch.
   * @throws CurlingError CURLING_EPOCH, CURLING_TAP_UNSUPPORTED, CURLING_TOOL_FAILED, CURLING_DATAPATH.
   */
  hold(epoch?: number): Promise<{ epoch: number }> {
    return this.#inTurn(async () => {
      if (this.#state === 'hold') return this.#thread.execute('capture', { epoch });
      return this.#closeAndCapture(epoch, true);
    });
  }

  /** @throws CurlingError CURLING_NOT_HOLDING, CURLING_EPOCH. */
  seal(epoch?: number): Promise<FrameCount & { epoch: number }> {
    return this.#thread.execute('seal', { epoch });
  }

  /** @throws CurlingError CURLING_EPOCH */
  async release(epoch: number): Promise<void> {
    await this.#thread.execute('release', { epoch });
  }

  /** Drops what is held and not released. */
  discard(): Promise<FrameCount> {
    return this.#thread.execute('discard', {});
  }

  /**
   * Sends all that is held and gives the guest the kernel's path.
   * @throws CurlingError CURLING_DATAPATH, CURLING_TOOL_FAILED; the proxy is in hold then.
   */
  bypass(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state === 'bypass') return;
      await this.#thread.execute('passAll', {});
      try {
        await this.#bridge.open();
      } catch (error) {
        await this.#holdAgain();
        throw error;
      }
      this.#state = 'bypass';
      this.#log.info({ tap: this.#bridge.site.tap.name }, 'bypass: the guest has the kernel path');
    });
  }

  async status(): Promise<ProxyStatus> {
    const { capturing: _, ...status } = await this.#thread.execute('status', {});
    const { tap, bridge } = this.#bridge.site;
    return { state: this.#state, tap: tap.name, bridge, port: this.#bridge.port, ...status };
  }

  counters(): Promise<DatapathCounters> {
    return this.#thread.execute('counters', {});
  }

  /**
   * Ends the proxy. In hold what is held is dropped and the tap stays closed, because nobody has said that the guest may
   * speak; in bypass everything is as it was found.
   * @returns Whether the tap stays closed.
   */
  stop(): Promise<{ closed: boolean }> {
    this.#watch?.stop();
    return this.#inTurn(async () => {
      await this.#thread.stop();
      if (this.#state === 'bypass') await this.#bridge.leave();
      return { closed: this.#state === 'hold' };
    });
  }

  /** A tap that a killed proxy left closed is taken over as it is. */
  async #becomeInitial(initial: ProxyState): Promise<void> {
    const { closed } = this.#bridge.site;
    if (closed) await this.#bridge.adopt();
    if (initial === 'hold') await this.#closeAndCapture(undefined, !closed);
    else if (closed) await this.#bridge.open();
  }

  /** @param reopen Whether the tap opens again when this fails. */
  async #closeAndCapture(epoch: number | undefined, reopen: boolean): Promise<{ epoch: number }> {
    try {
      await this.#bridge.close();
      const answer = await this.#thread.execute('capture', { epoch });
      this.#state = 'hold';
      this.#log.info({ tap: this.#bridge.site.tap.name, ...answer }, 'hold: output is held');
      return answer;
    } catch (error) {
      if (reopen) await this.#bridge.open().catch(() => undefined);
      throw error;
    }
  }

  /** After a failure to open. If the tap cannot be closed for certain either, the proxy must not go on. */
  async #holdAgain(): Promise<void> {
    try {
      await this.#closeAndCapture(undefined, false);
    } catch (error) {
      this.emit('failed', asCurlingError(error, 'CURLING_DATAPATH'));
    }
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Without the entry the bridge floods what is sent to the guest, which works too; so a failure is only said. */
  #placeGuest(mac: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state === 'hold') await this.#bridge.placeGuest(mac);
    }).catch(error => {
      this.#log.warn({ mac, error: messageOf(error) }, 'the bridge does not take the address');
    });
  }

  #followMtu(mtu: number): Promise<void> {
    return this.#inTurn(() => this.#bridge.setMtu(mtu)).catch(error => {
      this.#log.warn({ mtu, error: messageOf(error) }, 'the MTU cannot follow that of the tap');
    });
  }

  #startWatch(): void {
    const { site, port } = this.#bridge;
    this.#watch = new LinkWatch(site, port, {
      changed: state => {
        this.#log.info({ tap: site.tap.name, state }, 'the tap has changed its state');
        this.emit('link', state);
      },
      mtuChanged: mtu => void this.#followMtu(mtu),
      failed: error => {
        if (error.code === 'CURLING_TAP_GONE') this.emit('link', 'gone');
        this.emit('failed', error);
      },
      unread: error =>
        this.#log.warn({ error: messageOf(error) }, 'the state of the tap cannot be read'),
    });
  }
}
