/** One protection of the guest: coordinator/protection.ts with the production's schedule, staging and session. */
import assert from 'node:assert/strict';
import type { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { CheckpointSchedule } from '../../coordinator/schedule.ts';
import { SimColo } from './colo.ts';
import { LAYOUT } from './guest.ts';
import type { Life } from './life.ts';
import type { LocalConnection, SimTimer } from './process.ts';
import type { SimQemu } from './qemu.ts';

const CHUNK_PAGES = 2;
const POOL_BYTES = 2 * CHUNK_PAGES * 4096;
const INTERVAL_MAX_MS = 400;

type Phase = 'copying' | 'held' | 'waiting' | 'active' | 'ended';

export interface ProtectionHandlers {
  snapshot(epoch: number): void;
  guestLost(): void;
}

export class SimProtection {
  phase: Phase = 'copying';
  /** The newest epoch that was begun; the one after it is open in the proxy. */
  takenEpoch: number;
  readonly #life: Life;
  readonly #generation: number;
  readonly #first: number;
  readonly #link: SenderSession;
  readonly #staging: Staging;
  readonly #colo: SimColo;
  #schedule: CheckpointSchedule | undefined;
  #firstDevice: Buffer | undefined;
  #device: Buffer | undefined;
  #sealed = false;
  #pendingEpoch = -1;
  #timer: SimTimer | undefined;
  readonly #waitingChunks: PageChunk[] = [];

  constructor(
    life: Life,
    options: { generation: number; epoch: number; link: SenderSession; qemu: SimQemu },
    handlers: ProtectionHandlers,
  ) {
    this.#life = life;
    this.#generation = options.generation;
    this.#first = options.epoch;
    this.takenEpoch = options.epoch;
    this.#link = options.link;
    this.#staging = new Staging({
      poolBytes: POOL_BYTES,
      chunkPages: CHUNK_PAGES,
      onChunk: chunk => this.#onChunk(chunk),
    });
    this.#colo = new SimColo(life.process, options.qemu, this.#staging, {
      layout: () => this.#link.beginFull(this.#generation, this.takenEpoch, LAYOUT),
      firstPass: device => {
        this.phase = 'held';
        this.#firstDevice = device;
        handlers.snapshot(this.takenEpoch);
      },
      request: () => {
        this.#schedule?.requested();
        this.#consider();
      },
      stopped: () => this.#onStopped(),
      staged: device => {
        this.#device = device;
        this.#runOn();
      },
      closed: () => {
        if (this.phase === 'ended') return;
        life.process.clear(this.#timer);
        handlers.guestLost();
      },
    });
  }

  start(): void {
    this.#colo.start();
  }

  /** Output is held from here on. */
  begin(): void {
    assert(this.phase === 'held', 'begin follows the snapshot');
    if (this.#colo.over) return;
    this.phase = 'waiting';
    this.#colo.ready();
    this.#life.sim.point('R3-copying', this.#life.host);
    this.#send(this.#firstDevice!);
  }

  /** The pair stands. */
  activate(): void {
    assert(this.phase === 'waiting', 'the pair stands after its full copy');
    this.phase = 'active';
    this.#schedule = new CheckpointSchedule(this.#now, {
      intervalMaxMs: INTERVAL_MAX_MS,
      windowMs: INTERVAL_MAX_MS,
    });
    if (this.#colo.state === 'requested') this.#schedule.requested();
    if (this.#pendingEpoch > this.takenEpoch) this.#schedule.outputPending(this.#pendingEpoch);
    this.#consider();
  }

  outputPending(epoch: number): void {
    this.#pendingEpoch = Math.max(this.#pendingEpoch, epoch);
    this.#schedule?.outputPending(epoch);
    this.#consider();
  }

  windowOpen(): void {
    this.#schedule?.inFlight(false);
    this.#consider();
  }

  end(monitor: LocalConnection | undefined, done: (error: Error | null) => void): void {
    if (this.phase === 'ended') return done(null);
    this.phase = 'ended';
    this.#life.process.clear(this.#timer);
    this.#colo.end(monitor, done);
  }

  get #now(): number {
    return this.#life.process.loop.now;
  }

  #onChunk(chunk: PageChunk): void {
    this.#waitingChunks.push(chunk);
    if (this.phase === 'active' && !this.#staging.starved) return;
    this.#sendChunks();
  }

  #sendChunks(): void {
    for (const chunk of this.#waitingChunks.splice(0)) {
      if (this.#link.state === 'closed') this.#staging.recycle(chunk);
      else this.#link.chunk(chunk, () => this.#staging.recycle(chunk));
      if (this.phase === 'active') this.#point('E5-pages-sent');
    }
  }

  #consider(): void {
    this.#life.process.clear(this.#timer);
    const schedule = this.#schedule;
    if (this.phase !== 'active' || !schedule || this.#colo.over) return;
    if (this.#colo.state === 'requested' && !this.#link.window) {
      this.#life.sim.reached('the window was closed');
      schedule.inFlight(true);
    }
    const decision = schedule.decide(this.#now);
    if (decision.takeNow) return this.#take();
    if (decision.nextAskAt === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(0, decision.nextAskAt - this.#now);
    this.#timer = this.#life.process.timer(waitMs, () => this.#consider());
  }

  #take(): void {
    this.takenEpoch++;
    this.#sealed = false;
    this.#device = undefined;
    this.#schedule?.stopped(this.#now);
    this.#point('E1-due');
    this.#colo.reply();
    this.#link.beginCheckpoint(this.takenEpoch);
    this.#point('E4-begin-sent');
    if (this.takenEpoch === this.#first + 1)
      this.#life.sim.point('R7-first-epoch', this.#life.host);
  }

  #onStopped(): void {
    this.#point('E2-stopped');
    const epoch = this.takenEpoch;
    this.#life.gate.seal(epoch, error => {
      if (error) this.#life.sim.reached('a seal failed');
      if (this.phase !== 'active' || epoch !== this.takenEpoch) return;
      this.#sealed = true;
      this.#point('E3-sealed');
      this.#runOn();
    });
  }

  #runOn(): void {
    if (!this.#sealed || !this.#device || this.#colo.state !== 'staged') return;
    this.#colo.resume();
    const device = this.#device;
    this.#device = undefined;
    this.#schedule?.sealed(this.takenEpoch);
    this.#schedule?.resumed(this.#now);
    if (this.#life.sim.mutation.emitsUnacked) this.#life.gate.release(this.takenEpoch);
    this.#point('E8-resumed');
    this.#send(device);
  }

  #send(device: Buffer): void {
    this.#sendChunks();
    this.#link.device(device);
    if (this.phase === 'active') this.#point('E6-device-sent');
    this.#link.commit();
    if (this.phase === 'active') this.#point('E7-commit-sent');
  }

  #point(name: Parameters<Life['sim']['point']>[0]): void {
    this.#life.sim.point(name, this.#life.host);
  }
}
