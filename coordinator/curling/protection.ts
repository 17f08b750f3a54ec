/**
 * A protection whose checkpoints come from Curling's own stream: see Protection for the phases. The sender hears nothing of
 * us, so nothing here stops the guest or decides when a checkpoint is taken; and the order is another one:
 *
 *   head of checkpoint n   checkpoint n-1 is whole: committed. The proxy is told to seal epoch n; the guest runs
 *   sealed, and drained    all frames of epoch n were captured before the guest stopped for checkpoint n: it covers them
 *   head of n+1            checkpoint n is committed; its acknowledgement lets out epoch n
 *
 * That the head was seen is not enough. Who reads late may see the head of a checkpoint that is over, with the guest
 * running again and its frames in the epoch. So an epoch counts as covered only if, after it was sealed, all that the
 * sender had written was read once (`drained`) and the stream was still among the pages: then the end of that checkpoint,
 * and with it the guest's stop, was not written yet. An epoch that its own checkpoint does not cover leaves with a later one.
 *
 * The full copy is the first checkpoint and those after it, up to one that covers the beginning of the hold. Checkpoints
 * that come before the pair stands, or while the backup takes no more, are not sent one by one: their pages are gathered
 * in the staging memory, and go with the next one. When that is full the sender waits, and with it its guest.
 */
import assert from 'node:assert/strict';
import type { CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import type { StopPoint } from '../../common/test-stop.ts';
import type { GuestLayout } from '../checkpoint/layout.ts';
import type { PageChunk } from '../checkpoint/page-chunk.ts';
import { Staging } from '../checkpoint/staging.ts';
import { type CheckpointDone, CheckpointHints } from '../checkpoint-hints.ts';
import { Meter } from '../meter.ts';
import type { ProtectionFigures, ProtectionModules } from '../protection.ts';
import type { ProtectionRun } from '../protection-run.ts';
import { NO_WORK, type WorkCounters } from '../telemetry.ts';
import { CurlingSession } from './session.ts';

const CHUNK_PAGES = 64;

/** As much of it may be staged and not sent; the sender waits behind it. */
const POOL_BYTES_MAX = 64 << 20;

export type CurlingProtectionModules = Pick<
  ProtectionModules,
  'gate' | 'link' | 'clock' | 'telemetry' | 'stopAt'
> & { handlers: Pick<ProtectionModules['handlers'], 'snapshot' | 'guestLost' | 'proxyLost'> };

export interface CurlingProtectionOptions {
  /** Where QEMU connects to. */
  listen: TcpAddress;
  /** Name of the RAM block that is the guest's main memory. */
  mainBlock: string;
  stagingBytesMax: number;
  /** The generation that the pair will have. */
  generation: number;
  /** The epoch of the full copy; the first checkpoint is the next one. */
  epoch: number;
  /** As CurlingSessionOptions. */
  silenceMs?: number;
}

/** A checkpoint on its way to the backup. */
interface Flying {
  epoch: number;
  /** The newest epoch whose output it covers. */
  covers: number;
  beganAtMs: number;
  /** When it was known to be whole. */
  stagedAtMs: number;
}

export class CurlingProtection implements ProtectionRun {
  readonly figures: ProtectionFigures = {
    pause: new Meter(),
    commit: new Meter(),
    bytes: new Meter(),
    bytesTotal: 0,
    guestWaits: 0,
    windowClosed: 0,
  };
  readonly #modules: CurlingProtectionModules;
  readonly #options: CurlingProtectionOptions;
  readonly #staging: Staging;
  readonly #session: CurlingSession;
  #phase: ProtectionRun['phase'] = 'copying';
  /** The epoch of the checkpoint that is being read. */
  #taken: number;
  /** Whether its beginning was sent; pages wait until it is. */
  #begun = false;
  /** Whether its epoch is sealed, or for the full copy: output is held. */
  #sealed = false;
  #sealing = false;
  /** The newest epoch that a committed checkpoint covers, and whether the one being read covers its own. */
  #coveredBefore: number;
  #covers = false;
  #committedFull = false;
  #bytesBefore = 0;
  #pagesBefore = 0;
  #windowClosed = false;
  #beganAtMs = 0;
  readonly #waitingChunks: PageChunk[] = [];
  readonly #hints = new CheckpointHints();
  readonly #flying: Flying[] = [];

  constructor(options: CurlingProtectionOptions, modules: CurlingProtectionModules) {
    this.#options = options;
    this.#modules = modules;
    this.#taken = options.epoch;
    this.#coveredBefore = options.epoch;
    this.#staging = new Staging({
      poolBytes: Math.min(options.stagingBytesMax, POOL_BYTES_MAX),
      copyBytes: POOL_BYTES_MAX,
      chunkPages: CHUNK_PAGES,
      onChunk: chunk => this.#onChunk(chunk),
    });
    const { listen, mainBlock, silenceMs } = options;
    this.#session = new CurlingSession({
      listen,
      mainBlockName: mainBlock,
      staging: this.#staging,
      ...(silenceMs === undefined ? {} : { silenceMs }),
      handlers: {
        layout: layout => this.#onLayout(layout),
        checkpoint: device => this.#onCheckpoint(device),
        drained: () => this.#onDrained(),
        closed: error => {
          if (this.#phase !== 'ended') modules.handlers.guestLost(error);
        },
      },
    });
  }

  get phase(): ProtectionRun['phase'] {
    return this.#phase;
  }

  get takenEpoch(): number {
    if (!this.#committedFull) return this.#options.epoch - 1;
    return this.#begun ? this.#taken : this.#taken - 1;
  }

  get inFlight(): number {
    return this.#flying.length;
  }

  get work(): WorkCounters {
    if (this.#phase === 'ended') return NO_WORK;
    const own = { ...this.#staging.work, windowClosed: this.figures.windowClosed };
    return { ...NO_WORK, ...this.#hints.counters, ...own };
  }

  get stagingMemory(): ProtectionRun['stagingMemory'] {
    return this.#staging.memory;
  }

  /** Where QEMU connects to. */
  get port(): number {
    return this.#session.port;
  }

  /** Bytes of the sender's stream that have come. */
  get bytes(): number {
    return this.#session.bytes;
  }

  /** Listens for the sender; the copy begins when an operator of QEMU begins it. */
  start(): Promise<void> {
    return this.#session.start();
  }

  begin(): void {
    assert(this.#phase === 'held', 'begin follows the snapshot');
    this.#modules.stopAt('held');
    this.#sealed = true;
    this.#session.probe();
  }

  activate(): void {
    assert(this.#phase === 'waiting', 'the pair stands after its full copy');
    this.#phase = 'active';
    this.#modules.telemetry.activated();
    for (const meter of [this.figures.commit, this.figures.bytes]) meter.reset();
    this.#goOn();
  }

  /** The sender alone decides when a checkpoint is taken. */
  outputPending(): void {}

  /** The sender decides: the one that it begins next. */
  checkpoint(timeoutMs: number): Promise<CheckpointDone> {
    assert(this.#phase === 'active', 'checkpoints are taken while the pair stands');
    return this.#hints.wait(this.#taken + 1, this.#modules.clock.now(), timeoutMs);
  }

  windowOpen(): void {
    this.#goOn();
  }

  committed(epoch: number): number {
    const now = this.#modules.clock.now();
    let covered = -1;
    while (this.#flying.length > 0 && this.#flying[0]!.epoch <= epoch) {
      const done = this.#flying.shift()!;
      const commitMs = now - done.stagedAtMs;
      covered = done.covers;
      this.figures.commit.recordMs(commitMs);
      this.#modules.telemetry.committed(commitMs);
      this.#hints.committed({ ...done, commitMs });
    }
    return covered;
  }

  pass(point: StopPoint): void {
    if (this.#phase === 'active') this.#modules.stopAt(point);
  }

  /** The guest runs on by itself, when its sender finds nobody. */
  async end(): Promise<void> {
    if (this.#phase === 'ended') return;
    this.#hints.end();
    this.#modules.telemetry.ended(this.work);
    this.#phase = 'ended';
    this.#session.end();
  }

  #onLayout(layout: GuestLayout): void {
    this.#modules.link.beginFull(this.#options.generation, this.#taken, layout);
    this.#begun = true;
  }

  #onChunk(chunk: PageChunk): void {
    this.#waitingChunks.push(chunk);
    if (this.#begun) this.#sendChunks();
  }

  #sendChunks(): void {
    for (const chunk of this.#waitingChunks.splice(0)) {
      this.#modules.link.chunk(chunk, () => this.#staging.recycle(chunk));
      this.pass('pages-sent');
    }
  }

  /** The end of the checkpoint that is being read was not written when the queue behind its pages was found empty. */
  #onDrained(): void {
    if (this.#sealed) this.#covers = true;
  }

  #onCheckpoint(device: Buffer): void {
    if (this.#phase === 'copying') {
      this.#phase = 'held';
      this.#modules.stopAt('snapshot');
      this.#modules.handlers.snapshot(this.#taken);
      return;
    }
    // A copy which the hold does not precede, or pages that still wait: the next checkpoint is added to it.
    const copied = this.#committedFull || this.#covers;
    if (!copied || !this.#begun) return;
    this.#commit(device);
    this.#taken++;
    this.#begun = false;
    this.#sealed = false;
    this.#covers = false;
    this.#goOn();
  }

  #commit(device: Buffer): void {
    const { link, clock, telemetry, stopAt } = this.#modules;
    link.device(device);
    this.pass('device-sent');
    link.commit();
    this.pass('commit-sent');
    if (this.#covers) this.#coveredBefore = this.#taken;
    const stagedAtMs = clock.now();
    const beganAtMs = this.#beganAtMs;
    this.#flying.push({ epoch: this.#taken, covers: this.#coveredBefore, beganAtMs, stagedAtMs });
    if (!this.#committedFull) {
      this.#committedFull = true;
      this.#phase = 'waiting';
      this.#staging.copied();
      stopAt('copying');
      return;
    }
    const bytes = this.#staging.counters.dataBytes - this.#bytesBefore + device.length;
    this.figures.bytes.record(bytes);
    this.figures.bytesTotal += bytes;
    this.figures.guestWaits = this.#staging.guestWaits;
    telemetry.staged(0, bytes, this.#staging.pages - this.#pagesBefore, this.inFlight);
  }

  /**
   * Begins the checkpoint that is being read, at the backup and in the proxy, as soon as both have room for it. Until then
   * its pages are staged, and those of the checkpoints after it are added to them.
   */
  #goOn(): void {
    if (this.#phase !== 'active' || this.#begun || this.#sealing) return;
    const { link, clock, telemetry } = this.#modules;
    if (!link.window) {
      if (!this.#windowClosed) this.figures.windowClosed++;
      this.#windowClosed = true; // windowOpen() comes back
      return;
    }
    this.#windowClosed = false;
    this.#bytesBefore = this.#staging.counters.dataBytes;
    this.#pagesBefore = this.#staging.pages;
    this.#beganAtMs = clock.now();
    telemetry.started();
    this.#begun = true;
    void this.#seal(this.#taken);
    link.beginCheckpoint(this.#taken);
    this.pass('begin-sent');
    this.#sendChunks();
  }

  async #seal(epoch: number): Promise<void> {
    this.#sealing = true;
    let sealed = true;
    try {
      await this.#modules.gate.seal(epoch);
    } catch (error) {
      // The frames of this epoch are lost with the proxy, as by a network.
      sealed = false;
      this.#modules.handlers.proxyLost(error as CurlingError);
    }
    this.#sealing = false;
    if (this.#phase === 'ended') return;
    if (sealed && epoch === this.#taken) {
      this.#sealed = true;
      this.#session.probe();
      this.pass('sealed');
    }
    this.#goOn();
  }
}
