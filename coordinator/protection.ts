/**
 * One protection of the guest, on the primary: from the first byte of its full copy to the end of replication.
 *
 *   phase      guest, output                         what ends it
 *   copying    runs, free                            all RAM is staged, the guest stops → handler snapshot
 *   held       stopped; the owner begins to hold     begin() → waiting
 *   waiting    runs, held; no checkpoint is taken    the owner has the grant: activate() → active
 *   active     runs but for its checkpoints, held    end(), or handler guestLost
 *   ended
 *
 * The owner decides about releasing and about what a loss means. Here is the order of one epoch: REPLY, the guest stops,
 * seal and stage side by side, LOADED when both are done, the guest runs, then the commit record. The peer can therefore
 * acknowledge only what is sealed.
 */
import assert from 'node:assert/strict';
import type { Clock } from '../common/clock.ts';
import { type CurlingError, messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { QmpClient } from '../common/qmp/client.ts';
import type { StopAt, StopPoint } from '../common/test-stop.ts';
import type { GuestLayout } from './checkpoint/layout.ts';
import type { PageChunk } from './checkpoint/page-chunk.ts';
import { Staging } from './checkpoint/staging.ts';
import { type StagingAdvice, stagingAdvice } from './checkpoint/staging-advice.ts';
import { type CheckpointDone, CheckpointHints } from './checkpoint-hints.ts';
import { Meter } from './meter.ts';
import type { OutputGate } from './output-gate.ts';
import type { PackChoice } from './packing/choice.ts';
import type { Lz4 } from './packing/lz4.ts';
import { Outlet } from './packing/outlet.ts';
import type { ProtectionRun } from './protection-run.ts';
import { ColoSession } from './qemu/colo-session.ts';
import { GuestLoad } from './qemu/guest-load.ts';
import type { SenderSession } from './replication/sender.ts';
import type { Sabotage } from './sabotage.ts';
import { CheckpointSchedule, type ScheduleOptions } from './schedule.ts';
import { NO_WORK, type Telemetry, type WorkCounters } from './telemetry.ts';

/** 256 KiB: the backup reads the first pages of a usual checkpoint while the last ones are still being staged. */
const CHUNK_PAGES = 64;
/** Of these and those of one byte throughout: a guest that has just booted has many, and each is only an entry. */
const CHUNK_ENTRIES = 256;
/** 4 MiB: a larger checkpoint is sent while the rest of it is still being staged. */
const DEFERRED_CHUNKS_MAX = 16;
/** 64 MiB: the same for one that is packed, which takes more of this process's time. */
const PACKED_CHUNKS_MAX = 256;
/** Of a full copy, beyond what the link has taken: more would not make it faster, as QEMU and not the guest waits. */
const COPY_BYTES_MAX = 64 << 20;
/** Between two looks at the staging memory, and between two steps of its growth. */
const TEND_MS = 1_000;
const GROW_MS = 1;

export interface ProtectionHandlers {
  /** The guest is stopped and its full copy, epoch `epoch`, is staged: hold output, then call begin(). */
  snapshot(epoch: number): void;
  /** QEMU is gone or its stream is broken. The guest may be stopped: call end(). */
  guestLost(error: CurlingError): void;
  /** The proxy could not seal: its held frames are lost, and none of them was released. */
  proxyLost(error: CurlingError): void;
  /** The stopped guest had to wait for staging memory. */
  stagingFull(advice: StagingAdvice): void;
}

export interface ProtectionModules {
  qmp: QmpClient;
  gate: OutputGate;
  link: SenderSession;
  clock: Clock;
  log: Logger;
  telemetry: Telemetry;
  /** Undefined: checkpoints are sent as they are. */
  lz4: Lz4 | undefined;
  choice: PackChoice;
  handlers: ProtectionHandlers;
  sabotage: Sabotage | undefined;
  stopAt: StopAt;
}

export interface ProtectionOptions {
  /** Where QEMU connects to. */
  migrateSocket: string;
  /** Name of the RAM block that is the guest's main memory. */
  mainBlock: string;
  /** For the full copy: as ColoSessionOptions. */
  copy?: { downtimeLimitMs: number; throttleMax: number };
  /** Bound of the staging memory. */
  stagingBytesMax: number;
  /** As ColoSessionOptions. */
  stallMs?: number;
  /** The generation that the pair will have. */
  generation: number;
  /** The epoch of the full copy; the first checkpoint is the next one. */
  epoch: number;
  schedule: ScheduleOptions;
  /** Thread ids of the guest's vCPUs; none when they cannot be looked at. */
  vcpuThreads: readonly number[];
}

/** Numbers of one protection; the counters only grow. */
export interface ProtectionFigures {
  pause: Meter;
  commit: Meter;
  bytes: Meter;
  bytesTotal: number;
  /** Times that a stopped guest waited for a staging chunk. */
  guestWaits: number;
  /** Times that a due checkpoint waited because too much was in flight. */
  windowClosed: number;
}

type Phase = ProtectionRun['phase'];

export class Protection implements ProtectionRun {
  readonly figures: ProtectionFigures = {
    pause: new Meter(),
    commit: new Meter(),
    bytes: new Meter(),
    bytesTotal: 0,
    guestWaits: 0,
    windowClosed: 0,
  };
  readonly #modules: ProtectionModules;
  readonly #options: ProtectionOptions;
  readonly #staging: Staging;
  readonly #session: ColoSession;
  readonly #outlet: Outlet;
  #schedule: CheckpointSchedule | undefined;
  #load: GuestLoad | undefined;
  #phase: Phase = 'copying';
  /** The newest epoch that was begun; the one after it is open in the proxy. */
  #taken: number;
  #firstDevice: Buffer | undefined;
  #copied = false;
  #device: Buffer | undefined;
  #sealed = false;
  #replyAtMs = 0;
  #windowClosed = false;
  /** The newest epoch in which output waits. */
  #pendingEpoch = -1;
  #bytesBefore = 0;
  #pagesBefore = 0;
  /** Waits for staging memory, and bytes that the link has taken, when the checkpoint began. */
  #waitsBefore = 0;
  #sentBytes = 0;
  #sentBefore = 0;
  #resumedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #tendTimer: NodeJS.Timeout | undefined;
  #ending: Promise<void> | undefined;
  /** Chunks that are staged and not sent. */
  readonly #waitingChunks: PageChunk[] = [];
  /** Whether the checkpoint is too large to wait until the guest runs on. */
  #large = false;
  /** The checkpoints in flight: when they began and were staged, oldest first. */
  readonly #inFlight: { epoch: number; beganAtMs: number; stagedAtMs: number }[] = [];
  readonly #hints = new CheckpointHints();
  readonly #workedMs = () => this.#load?.workedMs() ?? Number.POSITIVE_INFINITY;

  constructor(options: ProtectionOptions, modules: ProtectionModules) {
    this.#modules = modules;
    this.#options = options;
    this.#taken = options.epoch;
    this.#outlet = new Outlet({ ...modules, windowOpen: () => this.windowOpen() });
    this.#staging = new Staging({
      poolBytes: options.stagingBytesMax,
      copyBytes: COPY_BYTES_MAX,
      chunkPages: CHUNK_PAGES,
      chunkEntries: CHUNK_ENTRIES,
      onChunk: chunk => this.#onChunk(chunk),
    });
    this.#session = new ColoSession({
      qmp: modules.qmp,
      socketPath: options.migrateSocket,
      mainBlockName: options.mainBlock,
      ...options.copy,
      staging: this.#staging,
      ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
      handlers: {
        layout: layout => this.#onLayout(layout),
        firstPass: device => this.#onFirstPass(device),
        request: () => this.#onRequest(),
        stopped: () => this.#onStopped(),
        staged: device => this.#onStaged(device),
        closed: error => this.#onClosed(error),
      },
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The newest epoch that may have been sealed or committed: not that of a copy which was given up half way. */
  get takenEpoch(): number {
    return this.#copied ? this.#taken : this.#taken - 1;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** What happened since the start; nothing any more once it has ended and the telemetry has it. */
  get work(): WorkCounters {
    if (this.#phase === 'ended') return NO_WORK;
    const own = { ...this.#staging.work, windowClosed: this.figures.windowClosed };
    return { ...NO_WORK, ...this.#schedule?.counters, ...this.#hints.counters, ...own };
  }

  /** The staging memory: reserved now, the most that was in use at once, and its bound. Bytes. */
  get stagingMemory(): { bytes: number; peakBytes: number; boundBytes: number } {
    return this.#staging.memory;
  }

  /**
   * Starts the full copy.
   * @throws CurlingError as ColoSession.start; end() is still needed then.
   */
  start(): Promise<void> {
    return this.#session.start();
  }

  /** Output is held from here on: lets the guest run and commits the full copy. Only after handler snapshot. */
  begin(): void {
    assert(this.#phase === 'held', 'begin follows the snapshot');
    this.#modules.stopAt('held');
    if (this.#lost) return;
    this.#phase = 'waiting';
    this.#session.ready();
    this.#modules.stopAt('copying');
    this.#send(this.#firstDevice!);
    this.#firstDevice = undefined;
  }

  /** The pair stands: checkpoints are taken from now on. */
  activate(): void {
    assert(this.#phase === 'waiting', 'the pair stands after its full copy');
    this.#phase = 'active';
    const now = this.#modules.clock.now();
    this.#resumedAtMs = now;
    this.#modules.telemetry.activated();
    this.#tend();
    this.#schedule = new CheckpointSchedule(now, this.#options.schedule);
    this.#load = new GuestLoad(this.#options.vcpuThreads, now);
    if (this.#session.state === 'requested') this.#schedule.requested();
    if (this.#pendingEpoch > this.#taken) this.#schedule.outputPending(this.#pendingEpoch);
    for (const meter of [this.figures.pause, this.figures.commit, this.figures.bytes])
      meter.reset();
    this.#consider();
  }

  /** The first frame of `epoch` waits in the proxy. */
  outputPending(epoch: number): void {
    this.#pendingEpoch = Math.max(this.#pendingEpoch, epoch);
    this.#schedule?.outputPending(epoch);
    this.#consider();
  }

  /**
   * Somebody wants a checkpoint now. Returns when one that has not begun yet is committed at the backup.
   * @param timeoutMs How long that may take.
   * @throws CurlingError as CheckpointHints.wait
   */
  checkpoint(timeoutMs: number): Promise<CheckpointDone> {
    assert(this.#phase === 'active', 'checkpoints are taken while the pair stands');
    const done = this.#hints.wait(this.#taken + 1, this.#modules.clock.now(), timeoutMs);
    this.#schedule?.hint();
    this.#consider();
    return done;
  }

  /** Another checkpoint may be in flight. */
  windowOpen(): void {
    this.#windowClosed = false;
    this.#schedule?.inFlight(false);
    this.#consider();
  }

  /** The peer has committed everything up to `epoch`, which covers the output of as much. */
  committed(epoch: number): number {
    const now = this.#modules.clock.now();
    for (const figures of this.#outlet.committed(epoch)) this.#modules.telemetry.sent(figures);
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.epoch <= epoch) {
      const done = this.#inFlight.shift()!;
      const commitMs = now - done.stagedAtMs;
      this.figures.commit.recordMs(commitMs);
      this.#modules.telemetry.committed(commitMs);
      this.#hints.committed({ ...done, commitMs });
    }
    return epoch;
  }

  /** A point of the epoch is passed, once checkpoints are taken. */
  pass(point: StopPoint): void {
    if (this.#phase === 'active') this.#modules.stopAt(point);
  }

  /** Ends it in any phase; on return the guest runs without checkpoints. What was not committed is not. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#hints.end();
    this.#modules.telemetry.ended(this.work);
    this.#phase = 'ended';
    clearTimeout(this.#timer);
    clearTimeout(this.#tendTimer);
    this.#load?.close();
    await this.#session.end();
  }

  /**
   * Pages of a small checkpoint wait until the guest runs on: sending costs time that it would stand still. So do all
   * that are to be packed, up to a larger bound.
   */
  #onChunk(chunk: PageChunk): void {
    this.#waitingChunks.push(chunk);
    const most = this.#outlet.packs ? PACKED_CHUNKS_MAX : DEFERRED_CHUNKS_MAX;
    this.#large ||= this.#waitingChunks.length > most;
    if (this.#phase === 'active' && !this.#large && !this.#staging.starved) return;
    this.#sendChunks();
  }

  #sendChunks(): void {
    for (const chunk of this.#waitingChunks.splice(0)) {
      this.#outlet.chunk(chunk, () => {
        this.#sentBytes += chunk.dataBytes;
        this.#staging.recycle(chunk);
      });
      this.pass('pages-sent');
    }
  }

  /** The session is over; handler guestLost comes when QEMU was asked why. */
  get #lost(): boolean {
    return this.#session.state === 'closed';
  }

  #onLayout(layout: GuestLayout): void {
    this.#outlet.beginFull(this.#options.generation, this.#taken, layout);
  }

  #onFirstPass(device: Buffer): void {
    this.#phase = 'held';
    this.#firstDevice = device;
    this.#copied = true;
    this.#staging.copied();
    this.#modules.stopAt('snapshot');
    this.#modules.handlers.snapshot(this.#taken);
  }

  #onRequest(): void {
    this.#schedule?.requested();
    this.#consider();
  }

  /** Takes a checkpoint when the schedule wants one now, or comes back when it will. */
  #consider(): void {
    clearTimeout(this.#timer);
    const schedule = this.#schedule;
    if (this.#phase !== 'active' || !schedule || this.#lost) return;
    const { clock } = this.#modules;
    if (this.#session.state === 'requested' && !this.#outlet.window) {
      if (!this.#windowClosed) this.figures.windowClosed++;
      this.#windowClosed = true;
      schedule.inFlight(true); // windowOpen() comes back
    }
    const now = clock.now();
    const decision = schedule.decide(now, this.#workedMs);
    if (decision.takeNow) return this.#take(now);
    if (decision.nextAskAt === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#consider(), Math.max(0, decision.nextAskAt - now));
  }

  #take(now: number): void {
    this.pass(this.#taken === this.#options.epoch ? 'first-epoch' : 'due');
    this.#taken++;
    this.#sealed = false;
    this.#device = undefined;
    this.#replyAtMs = now;
    this.#bytesBefore = this.#staging.counters.dataBytes;
    this.#pagesBefore = this.#staging.pages;
    this.#waitsBefore = this.#staging.guestWaits;
    this.#large = false;
    this.#sentBefore = this.#sentBytes;
    this.#schedule?.stopped(now);
    this.#modules.telemetry.started();
    this.#session.reply(); // first: the guest's output waits for what QEMU does now
    this.#outlet.beginCheckpoint(this.#taken);
    this.pass('begin-sent');
  }

  #onStopped(): void {
    this.pass('stopped');
    if (this.#modules.sabotage === 'seal-after-loaded') this.#sealed = true;
    else void this.#seal(this.#taken);
  }

  async #seal(epoch: number): Promise<void> {
    try {
      await this.#modules.gate.seal(epoch);
    } catch (error) {
      // The frames of this epoch are lost with the proxy, as by a network; the state that sent them may go on.
      this.#modules.handlers.proxyLost(error as CurlingError);
    }
    if (this.#phase !== 'active' || epoch !== this.#taken) return;
    this.#sealed = true;
    this.pass('sealed');
    this.#runOn();
  }

  #onStaged(device: Buffer): void {
    this.#device = device;
    this.#runOn();
  }

  /** Lets the guest run on when its epoch is sealed and its checkpoint staged. */
  #runOn(): void {
    if (!this.#sealed || !this.#device || this.#session.state !== 'staged') return;
    this.#session.resume();
    const { clock, sabotage, gate, telemetry } = this.#modules;
    const now = clock.now();
    const device = this.#device;
    this.#device = undefined;
    this.#schedule?.sealed(this.#taken);
    const pauseMs = now - this.#replyAtMs;
    this.#schedule?.resumed(now, this.#load?.share(now, pauseMs));
    this.figures.pause.recordMs(pauseMs);
    const bytes = this.#staging.counters.dataBytes - this.#bytesBefore + device.length;
    this.figures.bytes.record(bytes);
    this.figures.bytesTotal += bytes;
    if (this.#staging.guestWaits > this.#waitsBefore) this.#waited(pauseMs);
    this.#resumedAtMs = now;
    this.#inFlight.push({ epoch: this.#taken, beganAtMs: this.#replyAtMs, stagedAtMs: now });
    telemetry.staged(pauseMs, bytes, this.#staging.pages - this.#pagesBefore, this.inFlight);
    if (sabotage === 'seal-after-loaded') return this.#sealLate(device, this.#taken);
    if (sabotage === 'release-before-ack') gate.release(this.#taken);
    this.pass('resumed');
    this.#send(device);
    this.#tend();
  }

  #waited(pauseMs: number): void {
    this.figures.guestWaits = this.#staging.guestWaits;
    const advice = stagingAdvice({
      bytes: this.#staging.counters.dataBytes - this.#bytesBefore,
      ranMs: this.#replyAtMs - this.#resumedAtMs,
      pauseMs,
      sentBytes: this.#sentBytes - this.#sentBefore,
      boundBytes: this.#staging.boundBytes,
    });
    this.#modules.handlers.stagingFull(advice);
  }

  /** Fits the staging memory to what was used of it, while the guest runs. */
  #tend(): void {
    clearTimeout(this.#tendTimer);
    if (this.#phase !== 'active' || this.#lost) return;
    const { state } = this.#session;
    if (state !== 'running' && state !== 'requested') return; // It comes again when the guest runs on.
    const again = this.#staging.tend(this.#modules.clock.now());
    if (again === 'never') return;
    this.#tendTimer = setTimeout(() => this.#tend(), again === 'soon' ? GROW_MS : TEND_MS).unref();
  }

  /** A deliberate defect: the guest has run on for a while when its epoch is sealed. */
  #sealLate(device: Buffer, epoch: number): void {
    setTimeout(async () => {
      await this.#modules.gate.seal(epoch).catch(messageOf);
      if (this.#phase === 'active') this.#send(device);
    }, 10);
  }

  #send(device: Buffer): void {
    this.#sendChunks();
    this.#outlet.device(device);
    this.pass('device-sent');
    this.#outlet.commit();
    this.pass('commit-sent');
  }

  #onClosed(error: CurlingError): void {
    if (this.#phase === 'ended') return;
    clearTimeout(this.#timer);
    this.#modules.handlers.guestLost(error);
  }
}
