/**
 * A proxy: the production's epoch ring over a list of frames, driven as proxy/datapath.ts and tap-proxy.ts do. The filter
 * on the tap is the kernel's: it stays as it is when the process dies or stands still.
 */
import { CurlingError } from '../../common/errors.ts';
import { EpochRing } from '../../proxy/epoch-ring.ts';
import type { SimFrame } from './outside.ts';
import type { LocalConnection, SimProcess } from './process.ts';

const SLOTS = 24;
const EPOCHS = 64;
/** Frames that the kernel queues for a proxy that does not take them; the rest is lost. */
const KERNEL_MAX = 16;
/** Between two frames that leave. */
const SEND_MS = 0.03;

/** The tap of one host, as the kernel keeps it. */
export interface Tap {
  closed: boolean;
}

export interface ProxyHooks {
  emit(frame: SimFrame): void;
  /** Some, or all, of what was released has left. */
  passed(point: 'releasing' | 'released'): void;
  lost(what: 'kernel' | 'discarded', frames: number): void;
  full(): void;
}

export interface ProxyStatus {
  state: 'hold' | 'bypass';
  openEpoch: number;
}

export class SimProxy {
  readonly process: SimProcess;
  readonly ring = new EpochRing({ slots: SLOTS, epochs: EPOCHS });
  readonly #tap: Tap;
  readonly #hooks: ProxyHooks;
  readonly #frames: (SimFrame | null)[] = [];
  readonly #kernel: SimFrame[] = [];
  #client: { connection: LocalConnection; pending(epoch: number): void } | undefined;
  #announced = false;
  #sending = false;

  /** Begins in hold; a tap that a former proxy left closed is taken over as it is. */
  constructor(process: SimProcess, tap: Tap, hooks: ProxyHooks) {
    this.process = process;
    this.#tap = tap;
    this.#hooks = hooks;
    tap.closed = true;
  }

  /** Who is told that output waits. */
  serve(connection: LocalConnection, pending: (epoch: number) => void): void {
    this.#client = { connection, pending };
  }

  /** The guest sends a frame into a tap that is closed. */
  captured(frame: SimFrame): void {
    if (this.#kernel.length >= KERNEL_MAX) return this.#hooks.lost('kernel', 1);
    this.#kernel.push(frame);
    this.process.read(() => this.#capture());
  }

  status(): ProxyStatus {
    return { state: this.#tap.closed ? 'hold' : 'bypass', openEpoch: this.ring.openEpoch };
  }

  hold(epoch: number): void {
    this.ring.checkOpen(epoch);
    this.ring.open(epoch);
    if (this.#tap.closed) return;
    this.#announced = false;
    this.process.effect(() => {
      this.#tap.closed = true;
    });
  }

  seal(epoch: number): void {
    if (!this.#tap.closed) throw new CurlingError('CURLING_NOT_HOLDING', 'nothing is held');
    if (epoch === this.ring.openEpoch) this.#capture();
    this.ring.seal(epoch);
    this.#announced = false;
  }

  release(epoch: number): void {
    this.ring.release(epoch);
    this.#send();
  }

  discard(): void {
    const { frames } = this.ring.discard();
    const released = this.#frames.length - frames;
    this.#frames.fill(null, released);
    this.#hooks.lost('discarded', frames + this.#kernel.length);
    this.#kernel.length = 0;
    this.#announced = false;
    this.#send();
  }

  bypass(): void {
    if (!this.#tap.closed) return;
    do {
      this.#capture();
      this.ring.release(this.ring.sealedEpoch);
      if (this.ring.pending) {
        this.ring.seal(this.ring.openEpoch);
        this.ring.release(this.ring.sealedEpoch);
      }
      while (this.ring.sendable > 0) this.#sendOne();
    } while (this.#kernel.length > 0);
    this.#announced = false;
    this.process.effect(() => {
      this.#tap.closed = false;
    });
  }

  #capture(): void {
    let taken = 0;
    for (; this.#kernel.length > 0 && this.ring.free > 0; taken++) {
      this.#frames.push(this.#kernel.shift()!);
      this.ring.capture(1, 1);
    }
    if (this.ring.free === 0) this.#hooks.full();
    if (taken === 0 || this.#announced) return;
    this.#announced = true;
    const client = this.#client;
    const epoch = this.ring.openEpoch;
    client?.connection.tell(() => client.pending(epoch));
  }

  #send(): void {
    if (this.#sending || this.ring.sendable === 0) return;
    this.#sending = true;
    this.process.timer(SEND_MS, () => {
      this.#sending = false;
      if (this.ring.sendable === 0) return;
      this.#sendOne();
      this.#hooks.passed(this.ring.sendable > 0 ? 'releasing' : 'released');
      this.#capture();
      this.#send();
    });
  }

  #sendOne(): void {
    const frame = this.#frames.shift();
    this.ring.send(1, frame ? 1 : 0);
    if (frame) this.process.effect(() => this.#hooks.emit(frame));
  }
}
