/**
 * The path of one tap: frames from its packet ring and its packet queue, held where they are, to its own tap. Which of
 * them may leave says the epoch ring. Every step takes a bounded number of frames, so that capture goes on during a long
 * release and commands are answered during both.
 *
 * Small frames come through the ring, all others through the queue; the kernel's time stamp, taken once per frame, says
 * which came first. A frame of the queue is received before the frames of the ring that were there already are looked
 * at, so whatever is older than it is visible when its turn comes.
 */
import { ByteRing } from './byte-ring.ts';
import { EpochRing, type FrameCount } from './epoch-ring.ts';
import type { FrameRecord } from './frame-record.ts';
import { GuestMacs } from './guest-macs.ts';
import { HeldFrames } from './held-frames.ts';
import { isLater, type Moment, type SystemClock } from './moment.ts';
import { NativeMemory } from './native-memory.ts';
import { OwnTap } from './own-tap.ts';
import { PacketQueue } from './packet-queue.ts';
import { PacketRing } from './packet-ring.ts';
import { RecordedTap } from './recorded-tap.ts';
import { ERRNO } from './syscalls.ts';
import type { DatapathCounters, TapSetup } from './thread-messages.ts';
import { reinsertVlanTag, VLAN_TAG_BYTES, VNET_HEADER_BYTES } from './vlan-tag.ts';

/** Both MAC addresses and the type. */
const FRAME_BYTES_MIN = 14;
/** The longest frame that is held: four times what a virtio device can send. */
const FRAME_BYTES_MAX = 256 << 10;
const STEP_FRAMES = 256;
/** A step ends after so many bytes of large frames. */
const STEP_LARGE_BYTES = 256 << 10;
/** For what comes while this thread does something else, at 50 Gbit/s for 10 ms. */
const QUEUE_BYTES_MIN = 64 << 20;
/** How many frames that cannot be held the search for the next one passes over at once: more than a queue can have. */
const RECEIVE_ATTEMPTS = 1 << 20;
/** Large frames have descriptors enough to be this short on average. */
const LARGE_BYTES_MEAN_MIN = 1024;
const ERRORS_TO_RETRY: ReadonlySet<number> = new Set([ERRNO.EAGAIN, ERRNO.ENOBUFS, ERRNO.ENOMEM]);

export interface TapPathOptions {
  /** All memory for held frames. */
  bufferBytes: number;
  epochsMax: number;
  counters: DatapathCounters;
  clock: SystemClock;
  /** A source address was seen for the first time. */
  onGuestMac(mac: string): void;
  /** Where what leaves is recorded. */
  record?: FrameRecord | undefined;
}

/** A large frame that was received and is not captured yet. */
interface Received extends Moment {
  start: number;
  length: number;
  place: number;
  placeBytes: number;
}

export class TapPath {
  readonly tap: OwnTap;
  readonly epochs: EpochRing;
  readonly #ring: PacketRing;
  readonly #queue: PacketQueue;
  readonly #counters: DatapathCounters;
  readonly #clock: SystemClock;
  readonly #onGuestMac: (mac: string) => void;
  readonly #record: FrameRecord | undefined;
  readonly #largeMemory: NativeMemory;
  readonly #larges: ByteRing;
  readonly #held: HeldFrames;
  readonly #macs = new GuestMacs();
  /** Where the ring's next frame will lie, and the oldest slot that is not given back. */
  #captureSlot = 0;
  #captureOffset = 0;
  #freeSlot = 0;
  #freeOffset = 0;
  #slotsHeld = 0;
  /** The oldest frame of the queue, received ahead of its turn. */
  #next: Received | undefined;
  #bytes = 0;
  #unread = false;
  #stepLargeBytes = STEP_LARGE_BYTES;
  #running = false;
  /** Whether the sockets stand on the interface's path. */
  #entered = false;
  #full = false;
  #blocked = false;
  #stalled = false;

  /**
   * Maps the memory and creates the own tap. Captures nothing yet.
   * @throws CurlingError of NativeMemory, OwnTap, PacketRing and PacketQueue.
   */
  constructor(setup: TapSetup, options: TapPathOptions) {
    this.#counters = options.counters;
    this.#clock = options.clock;
    this.#onGuestMac = options.onGuestMac;
    const { record } = options;
    this.#record = record;
    this.tap = record ? new RecordedTap(setup.port, record) : new OwnTap(setup.port);
    const ringBytes = Math.floor((options.bufferBytes / 8) * 5);
    const largeBytes = options.bufferBytes - ringBytes;
    this.#ring = new PacketRing(setup.tapIndex, ringBytes);
    const queueBytes = Math.max(largeBytes, QUEUE_BYTES_MIN);
    this.#queue = new PacketQueue(setup.tapIndex, queueBytes);
    this.#largeMemory = new NativeMemory(largeBytes);
    this.#larges = new ByteRing(largeBytes);
    const slots = this.#ring.slots + Math.floor(largeBytes / LARGE_BYTES_MEAN_MIN);
    this.#held = new HeldFrames(slots);
    this.epochs = new EpochRing({ slots, epochs: options.epochsMax });
  }

  /** The descriptors to watch for new frames. */
  get captureFds(): number[] {
    return [this.#ring.fd, this.#queue.fd];
  }

  /** Small frames that can be held at once. */
  get framesMax(): number {
    return this.#ring.slots;
  }

  /** Whether frames may leave right now. */
  get sending(): boolean {
    return this.epochs.sendable > 0 && !this.#stalled;
  }

  /** Whether frames may leave that the own tap has put off: to be tried again soon. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Whether there is no room any more, or little. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether the next frame waits for room that large frames before it have. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Source addresses seen in captured frames since capture began, lower-case hex with colons. */
  get guestMacs(): string[] {
    return this.#macs.list();
  }

  /** How often an address was seen beyond the bound of `guestMacs`. */
  get guestMacsIgnored(): number {
    return this.#macs.ignored;
  }

  /** Says whether captured frames leave at once. */
  set passing(passing: boolean) {
    // Then the next large frame takes the place of the last one, which is still in the processor's cache.
    this.#stepLargeBytes = passing ? 1 : STEP_LARGE_BYTES;
  }

  /** Captures from the moment this returns. */
  start(): void {
    if (this.#running) return;
    this.refuse();
    this.leave();
    // Whatever a failure left behind belongs to another time.
    while (this.capture() > 0) this.discard();
    this.#macs.clear();
    this.resume();
    this.#running = true;
  }

  /** From now on only what is there already will be captured; `resume` takes it back. */
  refuse(): void {
    this.#ring.refuse();
    this.#queue.refuse();
  }

  resume(): void {
    for (const socket of [this.#queue, this.#ring]) {
      if (!this.#entered) socket.enter();
      socket.accept();
    }
    this.#entered = true;
  }

  /** Ends the capture after `refuse`. */
  stop(): void {
    this.readStatistics();
    this.#running = this.#full = this.#blocked = false;
  }

  /** Leaves the interface's path after `refuse`: takes long, and then no frame is under way any more. */
  leave(): void {
    if (!this.#entered) return;
    this.#ring.leave();
    this.#queue.leave();
    this.#entered = false;
  }

  /** Does what takes long and nobody waits for. */
  tidy(): void {
    if (!this.#running) this.leave();
  }

  /**
   * Captures a bounded number of frames, oldest first.
   * @param until Frames that the kernel received later are left. A stamp in the future says that the clock was set back.
   * @returns How many. 0 when there is none, or no room for one.
   */
  capture(until?: Moment): number {
    const ring = this.#ring;
    const room = Math.min(STEP_FRAMES, this.epochs.free);
    let small = this.#countFilled(room);
    let frames = 0;
    let largeBytes = 0;
    this.#bytes = 0;
    this.#next ??= this.#receive();
    while (frames < room && largeBytes < this.#stepLargeBytes) {
      const next = this.#next;
      if (next && !this.#ringBefore(next)) {
        if (until && isLater(next, until) && !isLater(next, this.#clock.now())) break;
        largeBytes += next.length;
        this.#hold(this.#largeMemory, next.start, next.length, next.place, next.placeBytes);
        this.#next = largeBytes < this.#stepLargeBytes ? this.#receive() : undefined;
      } else if (next || (small > 0 && !this.#blocked)) {
        if (until && !this.#ringBefore(until) && this.#ringBefore(this.#clock.now())) break;
        this.#captureSmall(ring);
        small--;
      } else break;
      frames++;
    }
    // The queue was not looked at to its end, and its edge is over.
    this.#unread = this.#blocked || largeBytes >= this.#stepLargeBytes;
    if (frames === 0) return 0;
    this.epochs.capture(frames, this.#bytes);
    this.#counters.framesCaptured += frames;
    this.#counters.bytesCaptured += this.#bytes;
    // An eighth of the slots is left for what comes until somebody has made room.
    if (this.#slotsHeld * 8 > ring.slots * 7 || this.epochs.free === 0) this.#full = true;
    return frames;
  }

  /** Whether there may be a frame to capture, and room for it. */
  get waiting(): boolean {
    if (this.#blocked || this.epochs.free === 0) return false;
    return this.#unread || this.#next !== undefined || this.#filled();
  }

  /** Sends released frames, at most `most`. Returns how many are done. */
  send(most = STEP_FRAMES): number {
    const held = this.#held;
    const record = this.#record;
    // What is recorded leaves epoch by epoch, so that nobody has to ask for the epoch of a frame.
    record?.begin(this.epochs.sendingEpoch);
    const sendable = record ? this.epochs.sendableOfEpoch : this.epochs.sendable;
    const count = Math.min(sendable, most);
    let done = 0;
    let bytes = 0;
    this.#stalled = false;
    for (; done < count; done++) {
      const { length } = held;
      if (length > 0) {
        if (!this.#sendFrame(held.address, length)) break;
        bytes += length - VNET_HEADER_BYTES;
      }
      this.#giveBack();
    }
    if (done === 0) return 0;
    record?.publish();
    this.epochs.send(done, bytes);
    this.#leaveFull();
    return done;
  }

  /** Gives up what is held and not released. */
  discard(): FrameCount {
    this.#held.spoil(this.epochs.captured - this.epochs.released);
    const count = this.epochs.discard();
    // Their room is free at once, unless released frames before them are still to be sent.
    let skipped = 0;
    while (skipped < this.epochs.sendable && this.#held.length === 0) {
      this.#giveBack();
      skipped++;
    }
    this.epochs.send(skipped, 0);
    this.#leaveFull();
    return count;
  }

  /** Adds what the kernel has dropped since the last call to the counters. */
  readStatistics(): void {
    if (!this.#running) return;
    this.#counters.kernelDrops += this.#ring.takeDrops() + this.#queue.takeDrops();
  }

  /** Closes everything; what is held is gone. */
  close(): void {
    this.#ring.close();
    this.#queue.close();
    this.tap.close();
    this.#largeMemory.unmap();
  }

  #filled(): boolean {
    return this.#slotsHeld < this.#ring.slots && this.#ring.filled(this.#captureOffset);
  }

  /** How many frames lie in the ring, up to `most`. */
  #countFilled(most: number): number {
    const { slots } = this.#ring;
    const limit = Math.min(most, slots - this.#slotsHeld);
    for (let count = 0, slot = this.#captureSlot; count < limit; count++) {
      if (!this.#ring.filled(this.#ring.offsetOf(slot))) return count;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
    return limit;
  }

  /** Whether the ring's next frame is there and not later than `moment`. */
  #ringBefore(moment: Moment): boolean {
    if (!this.#filled()) return false;
    const seconds = this.#ring.seconds(this.#captureOffset);
    if (seconds !== moment.seconds) return seconds < moment.seconds;
    return this.#ring.nanoseconds(this.#captureOffset) <= moment.nanoseconds;
  }

  #captureSmall(ring: PacketRing): void {
    const offset = this.#captureOffset;
    let start = ring.frameOf(offset) - VNET_HEADER_BYTES;
    let length = VNET_HEADER_BYTES + ring.length(offset);
    if (length < VNET_HEADER_BYTES + FRAME_BYTES_MIN) {
      this.#counters.truncated++;
      length = 0;
    } else if (ring.tagged(offset)) {
      const { bytes } = ring.memory;
      start = reinsertVlanTag(bytes, start, ring.tagProtocol(offset), ring.tagControl(offset));
      length += VLAN_TAG_BYTES;
      this.#counters.framesTagged++;
    }
    this.#hold(ring.memory, start, length, 0, 0);
    this.#captureSlot = this.#captureSlot + 1 === ring.slots ? 0 : this.#captureSlot + 1;
    this.#captureOffset = ring.offsetOf(this.#captureSlot);
    this.#slotsHeld++;
  }

  #hold(
    memory: NativeMemory,
    start: number,
    length: number,
    place: number,
    placeBytes: number,
  ): void {
    this.#held.push(memory.address + start, length, place, placeBytes);
    if (length === 0) return;
    this.#bytes += length - VNET_HEADER_BYTES;
    const mac = this.#macs.learn(memory.bytes, start + VNET_HEADER_BYTES);
    if (mac !== undefined) this.#onGuestMac(mac);
  }

  /**
   * Takes the next frame out of the queue; undefined when there is none, or no room (`blocked` tells). Frames that cannot
   * be held are passed over, however many: giving up at one would hide those behind it from a seal and from a discard.
   */
  #receive(): Received | undefined {
    for (let attempts = 0; attempts < RECEIVE_ATTEMPTS && !this.#blocked; attempts++) {
      const length = this.#queue.nextLength();
      if (length === 0) return undefined;
      if (length > FRAME_BYTES_MAX || length < FRAME_BYTES_MIN) {
        this.#counters.truncated++;
        this.#queue.drop();
        continue;
      }
      const placeBytes = VLAN_TAG_BYTES + VNET_HEADER_BYTES + length;
      const place = this.#larges.take(placeBytes);
      if (place < 0) this.#full = this.#blocked = true;
      if (place >= 0 && this.#receiveInto(place, placeBytes))
        return this.#received(place, placeBytes);
    }
    return undefined;
  }

  /** Returns whether a frame came; one whose offload the kernel cannot describe has been thrown away by it. */
  #receiveInto(place: number, placeBytes: number): boolean {
    const address = this.#largeMemory.address + place + VLAN_TAG_BYTES;
    const received = this.#queue.receive(address, placeBytes - VLAN_TAG_BYTES);
    if (received === placeBytes - VLAN_TAG_BYTES) return true;
    this.#larges.cancel(place);
    // An interface that went down says so once, in place of a frame.
    if (received !== -ERRNO.EINTR && received !== -ERRNO.ENETDOWN) this.#counters.receiveErrors++;
    return false;
  }

  #received(place: number, placeBytes: number): Received {
    const { seconds, nanoseconds, tagged } = this.#queue;
    const start = place + VLAN_TAG_BYTES;
    const length = placeBytes - VLAN_TAG_BYTES;
    const frame = { start, length, place, placeBytes, seconds, nanoseconds };
    this.#counters.framesLarge++;
    if (tagged) this.#reinsertTag(frame);
    return frame;
  }

  #reinsertTag(frame: Received): void {
    const { tagProtocol, tagControl } = this.#queue;
    const { bytes } = this.#largeMemory;
    frame.start = reinsertVlanTag(bytes, frame.start, tagProtocol, tagControl);
    frame.length += VLAN_TAG_BYTES;
    this.#counters.framesTagged++;
  }

  /** Sends one frame. Returns false when it must be tried again, true when it is gone or lost. */
  #sendFrame(address: number, length: number): boolean {
    let code = this.tap.send(address, length);
    while (code === ERRNO.EINTR) code = this.tap.send(address, length);
    if (ERRORS_TO_RETRY.has(code)) {
      this.#counters.sendRetries++;
      this.#stalled = true;
      return false;
    }
    if (code === 0) {
      this.#counters.framesSent++;
      this.#counters.bytesSent += length - VNET_HEADER_BYTES;
    } else this.#counters.sendErrors++;
    return true;
  }

  /** Gives the room of the oldest frame back. */
  #giveBack(): void {
    const { place, placeBytes } = this.#held;
    if (placeBytes > 0) {
      this.#larges.giveBack(place, placeBytes);
      this.#blocked = false;
    } else {
      this.#ring.giveBack(this.#freeOffset);
      this.#freeSlot = this.#freeSlot + 1 === this.#ring.slots ? 0 : this.#freeSlot + 1;
      this.#freeOffset = this.#ring.offsetOf(this.#freeSlot);
      this.#slotsHeld--;
    }
    this.#held.shift();
  }

  /** The shortage is over when a quarter of the slots and an eighth of all else are free: one episode is one event. */
  #leaveFull(): void {
    if (this.#blocked) return;
    const { free, slots } = this.epochs;
    if (this.#slotsHeld * 4 > this.#ring.slots * 3 || !this.#larges.roomy) return;
    if (free * 8 >= slots) this.#full = false;
  }
}
