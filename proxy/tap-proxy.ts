/**
 * The proxy as a whole: the datapath's thread and the places of its taps on their bridges, in one of three states.
 *
 * | state  | the guest's frames                    | hold       | seal | release | discard | pass    | bypass    |
 * |--------|---------------------------------------|------------|------|---------|---------|---------|-----------|
 * | hold   | captured, held, sent when released    | sets epoch | yes  | yes     | yes     | to pass | to bypass |
 * | pass   | captured, sent at once                | to hold    | no   | no-op   | no-op   | no-op   | to bypass |
 * | bypass | go straight to the bridge             | to hold    | no   | no-op   | no-op   | no      | no-op     |
 *
 * A frame never leaves twice: on the way to hold the taps are closed before capture starts, on the way to bypass capture
 * has stopped, and all of it has left, before the taps open. Frames of the few milliseconds between are lost, as on a
 * network; between hold and pass none is. Commands that change the state run one after the other.
 */
import { EventEmitter } from 'node:events';
import { asCurlingError, type CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import { BridgeSite, type TapSite } from './bridge.ts';
import { DatapathThread } from './datapath-thread.ts';
import type { FrameCount } from './epoch-ring.ts';
import { type LinkState, LinkWatch } from './link-watch.ts';
import type { Recording, RecordingCounters, RecordingStatus } from './recording.ts';
import { allSettled } from './settled.ts';
import type { DatapathCounters, DatapathStatus } from './thread-messages.ts';

export type ProxyState = 'hold' | 'pass' | 'bypass';

export interface ProxyOptions {
  initial: ProxyState;
  /** All memory for held frames. */
  bufferBytes: number;
  /** Of what leaves. It is closed by who has begun it, after `stop`. */
  recording?: Recording | undefined;
}

/** A tap that is served. */
export interface ServedTap {
  tap: string;
  bridge: string;
  /** The own tap beside it. */
  port: string;
  /** Source addresses seen in captured frames since capture began. */
  guestMacs: string[];
}

/** The first tap's facts stand at the top as well. */
export interface ProxyStatus extends Omit<DatapathStatus, 'guestMacs'>, ServedTap {
  state: ProxyState;
  taps: ServedTap[];
  /** Null when nothing is recorded. */
  recording: RecordingStatus | null;
}

interface ProxyEvents {
  pending: [epoch: number];
  full: [epoch: number];
  link: [tap: string, LinkState | 'gone'];
  /** Once: the proxy cannot go on. */
  failed: [CurlingError];
}

/** How many epochs may be sealed and wait for their release. */
const EPOCHS_MAX = 1024;
const NOTHING_RECORDED: RecordingCounters = {
  framesRecorded: 0,
  framesUnrecorded: 0,
  bytesRecorded: 0,
  recordFailures: 0,
};

export class TapProxy extends EventEmitter<ProxyEvents> {
  readonly #bridges: readonly BridgeSite[];
  readonly #thread: DatapathThread;
  readonly #recording: Recording | undefined;
  readonly #log: Logger;
  /** Of what a guest can cause at will: addresses, and a link that goes and comes. */
  readonly #guestLines: LimitedLog;
  #watches: LinkWatch[] = [];
  #state: ProxyState = 'bypass';
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    bridges: readonly BridgeSite[],
    thread: DatapathThread,
    recording: Recording | undefined,
    log: Logger,
  ) {
    super();
    this.#bridges = bridges;
    this.#thread = thread;
    this.#recording = recording;
    this.#log = log;
    this.#guestLines = new LimitedLog(log);
    const full = new LimitedLog(log);
    thread.on('pending', epoch => this.emit('pending', epoch));
    thread.on('full', epoch => {
      const text = 'the buffer is full or nearly: frames are lost until there is room';
      full.say('warn', { epoch }, text);
      this.emit('full', epoch);
    });
    thread.on('guestMac', (tap, mac) => void this.#placeGuest(bridges[tap]!, mac));
    thread.on('failed', error => this.emit('failed', error));
  }

  /**
   * Inserts the proxy at `sites`, one or more, and brings it to its initial state. When that fails, the taps are left as
   * they were found.
   * @throws CurlingError of the datapath and of the bridge.
   */
  static async start(
    sites: readonly TapSite[],
    options: ProxyOptions,
    log: Logger,
  ): Promise<TapProxy> {
    const bridges = sites.map(site => new BridgeSite(site));
    const thread = await DatapathThread.start({
      taps: bridges.map(bridge => ({ tapIndex: bridge.site.tap.index, port: bridge.port })),
      bufferBytes: options.bufferBytes,
      epochsMax: EPOCHS_MAX,
      record: options.recording?.setup,
    });
    const proxy = new TapProxy(bridges, thread, options.recording, log);
    try {
      for (const bridge of bridges) await bridge.insertPort();
      await proxy.#becomeInitial(options.initial);
    } catch (error) {
      await thread.stop();
      for (const bridge of bridges) {
        if (!bridge.site.closed) await bridge.leave().catch(() => undefined);
      }
      throw error;
    }
    proxy.#watches = bridges.map(bridge => proxy.#startWatch(bridge));
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
      if (this.#state === 'bypass') return this.#closeAndCapture(epoch, this.#bridges);
      const answer = await this.#thread.execute('capture', { epoch });
      this.#state = 'hold';
      return answer;
    });
  }

  /**
   * Lets all that is held leave, and captured frames from now on at once: what the datapath costs without the wait.
   * @throws CurlingError CURLING_NOT_HOLDING in bypass.
   */
  pass(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#thread.execute('pass', {});
      this.#state = 'pass';
      this.#log.info(this.#facts(), 'pass: output leaves at once');
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
        await this.#open();
      } catch (error) {
        await this.#holdAgain();
        throw error;
      }
      this.#state = 'bypass';
      this.#log.info(this.#facts(), 'bypass: the guest has the kernel path');
    });
  }

  async status(): Promise<ProxyStatus> {
    const { guestMacs, ...status } = await this.#thread.execute('status', {});
    const taps = this.#bridges.map(({ site, port }, index) => {
      return { tap: site.tap.name, bridge: site.bridge, port, guestMacs: guestMacs[index]! };
    });
    const recording = this.#recording?.status ?? null;
    return { state: this.#state, ...taps[0]!, ...status, taps, recording };
  }

  async counters(): Promise<DatapathCounters & RecordingCounters> {
    const counters = await this.#thread.execute('counters', {});
    return { ...counters, ...(this.#recording?.counters ?? NOTHING_RECORDED) };
  }

  /**
   * Ends the proxy. In bypass everything is as it was found; else what is held is dropped and the taps stay closed,
   * because nobody has said that the guest may speak.
   * @returns Whether the taps stay closed.
   */
  stop(): Promise<{ closed: boolean }> {
    for (const watch of this.#watches) watch.stop();
    return this.#inTurn(async () => {
      await this.#thread.stop();
      if (this.#state === 'bypass') await allSettled(this.#bridges.map(bridge => bridge.leave()));
      return { closed: this.#state !== 'bypass' };
    });
  }

  /** Taps that a killed proxy left closed are taken over as they are. */
  async #becomeInitial(initial: ProxyState): Promise<void> {
    const closed = this.#bridges.filter(bridge => bridge.site.closed);
    for (const bridge of closed) await bridge.adopt();
    if (initial !== 'hold') return allSettled(closed.map(bridge => bridge.open()));
    const open = this.#bridges.filter(bridge => !bridge.site.closed);
    await this.#closeAndCapture(undefined, open);
  }

  /** @param reopen Those whose taps open again when this fails. */
  async #closeAndCapture(
    epoch: number | undefined,
    reopen: readonly BridgeSite[],
  ): Promise<{ epoch: number }> {
    try {
      await allSettled(this.#bridges.map(bridge => bridge.close()));
      const answer = await this.#thread.execute('capture', { epoch });
      this.#state = 'hold';
      this.#log.info({ ...this.#facts(), ...answer }, 'hold: output is held');
      return answer;
    } catch (error) {
      await allSettled(reopen.map(bridge => bridge.open())).catch(() => undefined);
      throw error;
    }
  }

  /** Opens all taps; to be called after capture has stopped. */
  async #open(): Promise<void> {
    await allSettled(this.#bridges.map(bridge => bridge.open()));
  }

  #facts(): { tap: string } {
    return { tap: this.#bridges.map(bridge => bridge.site.tap.name).join(' ') };
  }

  /** After a failure to open. If the tap cannot be closed for certain either, the proxy must not go on. */
  async #holdAgain(): Promise<void> {
    try {
      await this.#closeAndCapture(undefined, []);
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
  #placeGuest(bridge: BridgeSite, mac: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state !== 'bypass') await bridge.placeGuest(mac);
    }).catch(error => {
      const facts = { mac, error: messageOf(error) };
      this.#guestLines.say('warn', facts, 'the bridge does not take the address');
    });
  }

  #followMtu(bridge: BridgeSite, mtu: number): Promise<void> {
    return this.#inTurn(() => bridge.setMtu(mtu)).catch(error => {
      const facts = { mtu, error: messageOf(error) };
      this.#guestLines.say('warn', facts, 'the MTU cannot follow that of the tap');
    });
  }

  #startWatch(bridge: BridgeSite): LinkWatch {
    const { site, port } = bridge;
    const tap = site.tap.name;
    return new LinkWatch(site, port, {
      changed: state => {
        this.#guestLines.say('info', { tap, state }, 'the tap has changed its state');
        this.emit('link', tap, state);
      },
      mtuChanged: mtu => void this.#followMtu(bridge, mtu),
      failed: error => {
        if (error.code === 'CURLING_TAP_GONE') this.emit('link', tap, 'gone');
        this.emit('failed', error);
      },
      unread: error =>
        this.#guestLines.say(
          'warn',
          { tap, error: messageOf(error) },
          'the state of the tap cannot be read',
        ),
    });
  }
}
