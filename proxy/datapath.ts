/**
 * The datapath: frames from the packet socket into the store, from the store to the own tap. One thread runs it, so
 * frames keep their order. Every step takes a bounded number of frames, so that capture goes on during a long release
 * and commands are answered during both.
 */
import { CurlingError } from '../common/errors.ts';
import { crossAllProcessors } from './cpu-barrier.ts';
import { EpochRing, type FrameCount } from './epoch-ring.ts';
import { FrameStore, LARGE_BYTES, SLOT_FRAME_BYTES } from './frame-store.ts';
import { GuestMacs } from './guest-macs.ts';
import { OwnTap } from './own-tap.ts';
import { PacketSocket } from './packet-socket.ts';
import { BATCH_FRAMES_MAX, ReceiveBatch } from './receive-batch.ts';
import { ERRNO } from './syscalls.ts';
import type {
  DatapathCounters,
  DatapathEvent,
  DatapathSetup,
  DatapathStatus,
} from './thread-messages.ts';
import { reinsertVlanTag, VLAN_TAG_BYTES, VNET_HEADER_BYTES } from './vlan-tag.ts';

/** Both MAC addresses and the type. */
const FRAME_BYTES_MIN = 14;
const CAPTURE_BATCHES_PER_STEP = 4;
const SEND_FRAMES_PER_STEP = 256;
/** How many frames a command takes out of the capture queue at the most: about twice what the queue can hold. */
const DRAIN_FRAMES_MAX = 1 << 20;
const RECEIVE_ATTEMPTS = 16;
/** How many steps without progress `passAll` accepts; the caller waits between them. */
const PASS_STALLS_MAX = 1000;

export class Datapath {
  readonly tap: OwnTap;
  readonly #setup: DatapathSetup;
  readonly #post: (event: DatapathEvent) => void;
  readonly #store: FrameStore;
  readonly #ring: EpochRing;
  readonly #batch = new ReceiveBatch(SLOT_FRAME_BYTES, LARGE_BYTES);
  readonly #macs = new GuestMacs();
  readonly #counters: DatapathCounters = {
    framesCaptured: 0,
    bytesCaptured: 0,
    framesSent: 0,
    bytesSent: 0,
    framesDiscarded: 0,
    bytesDiscarded: 0,
    framesLarge: 0,
    framesTagged: 0,
    kernelDrops: 0,
    truncated: 0,
    receiveErrors: 0,
    sendRetries: 0,
    sendErrors: 0,
    bufferFullEpisodes: 0,
    epochsSealed: 0,
    guestMacsIgnored: 0,
  };
  #socket: PacketSocket | undefined;
  /** A socket that receives nothing any more, to be closed. */
  #retired: PacketSocket | undefined;
  /** Whether OUTPUT_PENDING was said for the open epoch. */
  #announced = false;
  #full = false;
  #stalled = false;

  /**
   * Maps the memory and creates the own tap. Captures nothing yet.
   * @throws CurlingError of NativeMemory and OwnTap.
   */
  constructor(setup: DatapathSetup, post: (event: DatapathEvent) => void) {
    this.#setup = setup;
    this.#post = post;
    this.tap = new OwnTap(setup.port);
    this.#store = new FrameStore(setup.bufferBytes);
    this.#ring = new EpochRing({ slots: this.#store.slots, epochs: setup.epochsMax });
  }

  /** The socket to wait for, or -1 when nothing can be captured now. */
  get captureFd(): number {
    return this.#socket && !this.#full ? this.#socket.fd : -1;
  }

  /** Whether frames may leave right now. */
  get sending(): boolean {
    return this.#ring.sendable > 0 && !this.#stalled;
  }

  /** Whether frames may leave that the own tap has put off: to be tried again soon. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /**
   * Starts to capture under `epoch`, by default the open one; when capture is on, only sets the open epoch.
   * @throws CurlingError CURLING_EPOCH when frames are held under another epoch; CURLING_DATAPATH.
   */
  capture(epoch: number | undefined): { epoch: number } {
    if (epoch !== undefined) this.#ring.open(epoch);
    if (!this.#socket) {
      this.#macs.clear();
      this.#announced = false;
      this.#socket = new PacketSocket(this.#setup.tapIndex);
    }
    return { epoch: this.#ring.openEpoch };
  }

  /**
   * Seals the open epoch behind all that the guest has sent so far.
   * @throws CurlingError CURLING_NOT_HOLDING, CURLING_EPOCH.
   */
  seal(epoch = this.#ring.openEpoch): FrameCount & { epoch: number } {
    if (!this.#socket) {
      throw new CurlingError('CURLING_NOT_HOLDING', 'nothing can be sealed in bypass; hold first');
    }
    // What the buffer has no room for stays queued and joins the next epoch: it leaves later than it might, never
    // earlier.
    if (epoch === this.#ring.openEpoch) this.#drain();
    const count = this.#ring.seal(epoch);
    this.#announced = false;
    this.#counters.epochsSealed++;
    return { epoch, ...count };
  }

  /**
   * Lets all epochs up to `epoch` leave; `send` carries them out.
   * @throws CurlingError CURLING_EPOCH
   */
  release(epoch: number): Record<string, never> {
    this.#ring.release(epoch);
    return {};
  }

  /** Drops all that is held and not released, with what waits in the capture queue. */
  discard(): FrameCount {
    this.#announced = true; // what is captured here is no output that somebody waits for
    const total = this.#discardHeld();
    while (this.#socket && total.frames < DRAIN_FRAMES_MAX) {
      if (this.#room() === 0) this.send(); // released frames alone are held here
      if (this.#captureBatch() === 0) break;
      const count = this.#discardHeld();
      total.frames += count.frames;
      total.bytes += count.bytes;
    }
    this.#counters.framesDiscarded += total.frames;
    this.#counters.bytesDiscarded += total.bytes;
    this.#announced = false;
    return total;
  }

  /**
   * Stops to capture, and sends all that was captured, in order. On return no frame is between the packet socket and
   * the ingress filters any more, so none that was sent here can pass an opened filter.
   * @param wait Called when the own tap takes no frame at the moment; waits a millisecond or so.
   * @throws CurlingError CURLING_DATAPATH when it takes none for long; capture goes on then.
   */
  passAll(wait: () => void): Record<string, never> {
    const socket = this.#socket;
    if (!socket) return {};
    socket.refuseFrames();
    const crossed = crossAllProcessors();
    this.#sendAll(socket, wait);
    this.#readStatistics(socket);
    this.#socket = undefined;
    this.#full = false;
    if (crossed) this.#retired = socket;
    else socket.close();
    return {};
  }

  /** Does what takes long and nobody waits for. */
  tidy(): void {
    this.#retired?.close();
    this.#retired = undefined;
  }

  #sendAll(socket: PacketSocket, wait: () => void): void {
    for (let stalls = 0; ; ) {
      const taken = this.#captureBatch();
      this.#releaseAll();
      const done = this.send();
      if (taken > 0 || done > 0) continue;
      const { frames } = this.#ring.held;
      if (frames === 0) return;
      if (++stalls > PASS_STALLS_MAX) {
        socket.acceptFrames();
        const text = `${this.tap.name} takes no frames; ${frames} are still to be sent`;
        throw new CurlingError('CURLING_DATAPATH', text);
      }
      wait();
    }
  }

  /** Captures a bounded number of frames. */
  step(): void {
    for (let batch = 0; batch < CAPTURE_BATCHES_PER_STEP; batch++) {
      if (this.#captureBatch() < BATCH_FRAMES_MAX) return;
    }
  }

  /** Sends a bounded number of released frames. Returns how many are done. */
  send(): number {
    const ring = this.#ring;
    const count = Math.min(ring.sendable, SEND_FRAMES_PER_STEP);
    let done = 0;
    let bytes = 0;
    this.#stalled = false;
    for (; done < count; done++) {
      const slot = ring.slotOf(ring.sent + done);
      const length = this.#store.lengths[slot]!;
      if (length > 0) {
        if (!this.#sendFrame(slot)) break;
        bytes += length - VNET_HEADER_BYTES;
      }
      this.#store.free(slot);
    }
    if (done === 0) return 0;
    ring.send(done, bytes);
    this.#leaveFull();
    return done;
  }

  status(): DatapathStatus {
    const { openEpoch, sealedEpoch, releasedEpoch, held, pending } = this.#ring;
    return {
      capturing: this.#socket !== undefined,
      epoch: { open: openEpoch, sealed: sealedEpoch, released: releasedEpoch },
      held: { ...held, framesMax: this.#store.slots, bytesMax: this.#setup.bufferBytes },
      pending,
      guestMacs: this.#macs.list(),
    };
  }

  counters(): DatapathCounters {
    if (this.#socket) this.#readStatistics(this.#socket);
    return { ...this.#counters, guestMacsIgnored: this.#macs.ignored };
  }

  /** Closes everything; what is held is gone. */
  close(): void {
    this.tidy();
    this.#socket?.close();
    this.#socket = undefined;
    this.tap.close();
    this.#batch.close();
    this.#store.close();
  }

  #readStatistics(socket: PacketSocket): void {
    this.#counters.kernelDrops += socket.statistics().drops;
  }

  #drain(): void {
    for (let frames = 0; frames < DRAIN_FRAMES_MAX; ) {
      const taken = this.#captureBatch();
      if (taken === 0) return;
      frames += taken;
    }
  }

  /** Receives what one call gives. Returns the number of frames, 0 when there is none or no room for one. */
  #captureBatch(): number {
    const room = this.#room();
    if (room === 0) return this.#becomeFull();
    const ring = this.#ring;
    const store = this.#store;
    ring.rewind();
    const first = ring.captured;
    for (let index = 0; index < room; index++) {
      const address = store.receiveAddress(ring.slotOf(first + index));
      this.#batch.arm(index, address, store.largeAddress(index));
    }
    const received = this.#receive(room);
    if (received === 0) return 0;
    store.accept(received, this.#lengthOf, this.#slotOf);
    let bytes = 0;
    for (let index = 0; index < received; index++) bytes += this.#inspect(index);
    ring.capture(received, bytes);
    this.#counters.framesCaptured += received;
    this.#counters.bytesCaptured += bytes;
    if (!this.#announced) {
      this.#announced = true;
      this.#post({ event: 'pending', epoch: ring.openEpoch });
    }
    return received;
  }

  /**
   * Returns the number of frames received, 0 when the queue is empty. EINVAL takes one frame that has no vnet header out
   * of the queue; giving up at one would hide those behind it from a seal and from a discard.
   */
  #receive(room: number): number {
    for (let frames = 0, attempt = 0; frames < DRAIN_FRAMES_MAX && attempt < RECEIVE_ATTEMPTS; ) {
      const received = this.#socket!.receive(this.#batch, room);
      if (received >= 0) return received;
      if (received === -ERRNO.EAGAIN) return 0;
      if (received !== -ERRNO.EINTR) this.#counters.receiveErrors++;
      if (received === -ERRNO.EINVAL) frames++;
      else attempt++;
    }
    return 0;
  }

  readonly #slotOf = (index: number): number => this.#ring.slotOf(this.#ring.captured + index);

  readonly #lengthOf = (index: number): number => {
    const length = this.#batch.length(index);
    const whole = !this.#batch.truncated(index) && length >= VNET_HEADER_BYTES + FRAME_BYTES_MIN;
    return whole ? length : 0;
  };

  #room(): number {
    return Math.min(BATCH_FRAMES_MAX, this.#ring.free, this.#store.freeLarges);
  }

  #becomeFull(): 0 {
    if (!this.#full) {
      this.#full = true;
      this.#counters.bufferFullEpisodes++;
      this.#post({ event: 'full', epoch: this.#ring.openEpoch });
    }
    return 0;
  }

  /** Capture goes on when an eighth of the buffer is free, so that one episode is one event. */
  #leaveFull(): void {
    const ring = this.#ring;
    const store = this.#store;
    if (ring.free * 8 >= ring.slots && store.freeLarges * 8 >= store.larges) this.#full = false;
  }

  /** Finishes frame `index` of the batch: its tag, its sender, the counters. Returns its bytes, 0 for a dropped one. */
  #inspect(index: number): number {
    const store = this.#store;
    const slot = this.#slotOf(index);
    if (store.lengths[slot] === 0) {
      this.#counters.truncated++;
      return 0;
    }
    if (store.restAddress(slot) !== 0) this.#counters.framesLarge++;
    let offset = store.offsetOf(slot);
    if (this.#batch.tagged(index)) {
      const { bytes } = store.memory;
      const protocol = this.#batch.tagProtocol(index);
      offset = reinsertVlanTag(bytes, offset, protocol, this.#batch.tagControl(index));
      store.moveStart(slot, offset, VLAN_TAG_BYTES);
      this.#counters.framesTagged++;
    }
    const mac = this.#macs.learn(store.memory.bytes, offset + VNET_HEADER_BYTES);
    if (mac !== undefined) this.#post({ event: 'guest-mac', mac });
    return store.lengths[slot]! - VNET_HEADER_BYTES;
  }

  /** Sends one frame. Returns false when it must be tried again, true when it is gone or lost. */
  #sendFrame(slot: number): boolean {
    let code = this.tap.send(this.#store, slot);
    while (code === ERRNO.EINTR) code = this.tap.send(this.#store, slot);
    if (code === ERRNO.EAGAIN || code === ERRNO.ENOBUFS || code === ERRNO.ENOMEM) {
      this.#counters.sendRetries++;
      this.#stalled = true;
      return false;
    }
    if (code === 0) {
      this.#counters.framesSent++;
      this.#counters.bytesSent += this.#store.lengths[slot]! - VNET_HEADER_BYTES;
    } else this.#counters.sendErrors++;
    return true;
  }

  /** Releases all that was captured, the open epoch too. */
  #releaseAll(): void {
    const ring = this.#ring;
    ring.release(ring.sealedEpoch);
    if (!ring.pending) return;
    ring.seal(ring.openEpoch);
    ring.release(ring.sealedEpoch);
  }

  #discardHeld(): FrameCount {
    const ring = this.#ring;
    for (let frame = ring.released; frame < ring.captured; frame++) {
      this.#store.free(ring.slotOf(frame));
    }
    const count = ring.discard();
    this.#leaveFull();
    return count;
  }
}
