/**
 * A QEMU: the guest with its vCPUs, COLO's end of the migration, and the way a standby becomes a guest. What it sends to
 * a coordinator arrives in order and a little later, and not at all once the session there is over.
 */
import assert from 'node:assert/strict';
import type { Owner } from '../../coordinator/arbitration/register.ts';
import type { Random } from '../arbitration/sim/random.ts';
import { Guest, type Ledger, type SentPage } from './guest.ts';
import type { SimFrame } from './outside.ts';
import { LOCAL_MS, type SimProcess } from './process.ts';

/** Between two steps of the guest, on average. */
const STEP_MS = 14;
/** A step that is followed by output, and how many frames at most. */
const OUTPUT_RATE = 0.3;
const BURST_MAX = 3;
/** QEMU asks for the next checkpoint this long after the guest ran on. */
const CHECKPOINT_DELAY_MS = 5;
const FIRST_PASS_MS = 3;
const STOP_MS = 0.3;
const LOAD_MS = 1.5;

/** The coordinator's end of one COLO run. */
export interface ColoPeer {
  readonly process: SimProcess;
  readonly over: boolean;
  layout(): void;
  pages(pages: readonly SentPage[]): void;
  copied(device: Buffer): void;
  request(): void;
  stopped(): void;
  staged(device: Buffer): void;
  failed(why: string): void;
}

export interface QemuHooks {
  emit(frame: SimFrame): void;
  /** The guest of a standby begins to run, and after that: it runs. */
  resumes(guest: Guest, fault: string): void;
  running(): void;
}

export class SimQemu {
  readonly process: SimProcess;
  readonly ledger: Ledger;
  readonly #random: Random;
  readonly #hooks: QemuHooks;
  guest: Guest | undefined;
  #loaded: { guest: Guest; fault: string } | undefined;
  /** In whose name the guest runs. */
  owner: Owner | null = null;
  running = false;
  #peer: ColoPeer | undefined;
  /** The vCPUs are stopped for COLO, until told otherwise. */
  #awaits: 'ready' | 'loaded' | undefined;
  #asked = false;

  constructor(process: SimProcess, ledger: Ledger, random: Random, hooks: QemuHooks) {
    this.process = process;
    this.ledger = ledger;
    this.#random = random;
    this.#hooks = hooks;
  }

  /** Begins to run a guest that was just switched on. */
  boot(): void {
    this.guest = new Guest(this.ledger);
    this.#run();
    this.#tick();
  }

  /** As a standby: reads a checkpoint, and is paused. */
  incoming(main: Buffer, other: Buffer, device: Buffer, done: () => void): void {
    this.process.timer(LOAD_MS, () => {
      const guest = new Guest(this.ledger, main);
      this.#loaded = { guest, fault: guest.load(device, other) };
      this.process.effect(done);
    });
  }

  /** Whether all is read and the guest does not run. */
  get paused(): boolean {
    return this.#loaded !== undefined && !this.running;
  }

  /** Lets the guest of a loaded standby run. */
  cont(): void {
    assert(this.#loaded, 'a guest runs on from what was loaded');
    const { guest, fault } = this.#loaded;
    this.process.effect(() => {
      this.#hooks.resumes(guest, fault);
      this.guest = guest;
      this.#run();
      this.#tick();
      // It has something to say at once: a guest does not wait until somebody knows that it runs.
      guest.step();
      this.#speak(guest);
      this.#hooks.running();
    });
  }

  /** `migrate` with COLO. */
  beginColo(peer: ColoPeer): void {
    this.#peer = peer;
    this.#tell(() => peer.layout());
    this.#pages(true);
    this.process.timer(FIRST_PASS_MS, () => {
      if (this.#peer !== peer || !this.guest) return;
      this.#stop('ready');
      this.#pages(false);
      const device = this.guest.device();
      this.#tell(() => peer.copied(device));
    });
  }

  /** Messages of the coordinator. */
  ready(peer: ColoPeer): void {
    if (this.#peer === peer && this.#awaits === 'ready') this.#runOn(peer);
  }

  loaded(peer: ColoPeer): void {
    if (this.#peer === peer && this.#awaits === 'loaded') this.#runOn(peer);
  }

  reply(peer: ColoPeer): void {
    if (this.#peer !== peer || !this.#asked) return;
    this.#asked = false;
    this.process.timer(STOP_MS, () => {
      if (this.#peer !== peer || !this.guest) return;
      this.#stop('loaded');
      this.#tell(() => peer.stopped());
      const { guest } = this;
      this.process.timer(STOP_MS, () => {
        if (this.#peer !== peer) return;
        this.#pages(false);
        const device = guest.device();
        this.#tell(() => peer.staged(device));
      });
    });
  }

  /** `x-colo-lost-heartbeat`, and whatever else it takes: the guest runs without COLO. */
  endColo(): void {
    this.#peer = undefined;
    this.#asked = false;
    if (this.guest) this.#run();
  }

  #runOn(peer: ColoPeer): void {
    this.#run();
    this.process.timer(CHECKPOINT_DELAY_MS, () => {
      if (this.#peer !== peer) return;
      this.#asked = true;
      this.#tell(() => peer.request());
    });
  }

  #run(): void {
    this.#awaits = undefined;
    this.running = true;
  }

  #stop(awaits: 'ready' | 'loaded'): void {
    this.#awaits = awaits;
    this.running = false;
  }

  #pages(all: boolean): void {
    const peer = this.#peer;
    const pages = this.guest?.takePages(all) ?? [];
    if (peer) this.#tell(() => peer.pages(pages));
  }

  #tell(event: () => void): void {
    const peer = this.#peer;
    if (!peer) return;
    this.process.effect(() => {
      this.process.loop.after(LOCAL_MS, () =>
        peer.process.read(() => {
          if (!peer.over) event();
        }),
      );
    });
  }

  #tick(): void {
    this.process.timer(STEP_MS * (0.5 + this.#random.next()), () => {
      if (this.running && this.guest) this.#work(this.guest);
      this.#tick();
    });
  }

  #work(guest: Guest): void {
    guest.step();
    if (this.#random.chance(OUTPUT_RATE)) this.#speak(guest);
  }

  #speak(guest: Guest): void {
    for (let frame = this.#random.below(BURST_MAX); ; frame--) {
      const { steps, version } = guest;
      this.process.effect(() => this.#hooks.emit({ steps, version, from: this }));
      if (frame <= 0) return;
      guest.step();
    }
  }
}
