/**
 * How several machines of one process share the replication link. Each has a slot in memory that all their threads see, in
 * which it says what it is about; what it may send now it decides by itself. Pure: `now` comes in, no timers.
 *
 * Light is an epoch's checkpoint as long as it has sent no more than LIGHT_BYTES_MAX: it goes at once. Heavy is a full copy
 * and what is behind that bound. While another machine is protected on this link, heavy traffic
 *
 * - keeps little in front of the link: no more than `HeavyWindow` allows is unacknowledged, so that an epoch which comes
 *   finds a short queue, here and in every switch on the way;
 * - waits while another machine's epoch is on its way, YIELD_MS at a stretch at most, then sends one window: what has much
 *   to send gets its share, whatever the others do;
 * - takes turns with other heavy traffic (start-time fair queueing): who has sent TURN_KIB more than another one that could
 *   send, too, waits. Who is kept from sending by its own backup is not waited for.
 *
 * A machine that is alone sends as if there were none of this. One link is assumed for all peers of a host.
 *
 * Invariant: a slot is written by its machine alone, or after its thread has ended.
 */
import assert from 'node:assert/strict';

export const LIGHT_BYTES_MAX = 1 << 20;
export const YIELD_MS = 5;
export const TURN_KIB = 256;
/** Machines that one link is shared by at the most. */
export const SLOTS = 64;

/** What a machine is about, in order of weight. */
export const PRESENCE = { none: 0, protected: 1, epoch: 2, heavy: 3 } as const;
export type Presence = (typeof PRESENCE)[keyof typeof PRESENCE];

/** Words of a slot: a Presence; 1 when it could send now; KiB of heavy traffic, which wraps. */
const WORD = { presence: 0, ready: 1, sentKib: 2 } as const;
const WORDS = 4;

/** Memory for all slots. */
export function linkShareMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** Empties a slot whose thread has ended. */
export function clearSlot(memory: SharedArrayBuffer, slot: number): void {
  const words = new Int32Array(memory);
  for (let word = 0; word < WORDS; word++) Atomics.store(words, slot * WORDS + word, 0);
}

export class LinkShare {
  /** What happened: times that heavy traffic waited for an epoch, and for its turn. */
  readonly counters = { yields: 0, turns: 0 };
  readonly #words: Int32Array;
  readonly #slot: number;
  /** Bytes of heavy traffic that are not in the slot yet. */
  #restBytes = 0;
  #yieldSince: number | undefined;
  /** Bytes that may be sent although others' epochs are on their way. */
  #grant = 0;
  #waitsForTurn = false;

  constructor(memory: SharedArrayBuffer, slot: number) {
    assert(slot >= 0 && slot < SLOTS, 'a slot of the memory');
    this.#words = new Int32Array(memory);
    this.#slot = slot;
  }

  get presence(): Presence {
    return this.#get(this.#slot, WORD.presence) as Presence;
  }

  /** Says what this machine is about from now on. */
  set presence(presence: Presence) {
    if (presence === PRESENCE.heavy && this.presence !== PRESENCE.heavy) this.#join();
    if (presence !== PRESENCE.heavy) this.#set(WORD.ready, 0);
    this.#set(WORD.presence, presence);
  }

  /** Whether another machine uses the link. */
  get shared(): boolean {
    return this.#others().some(slot => this.#presenceOf(slot) !== PRESENCE.none);
  }

  /**
   * Whether heavy traffic of this machine may send now. When not, ask again after a millisecond or so.
   * @param windowBytes What may be sent before the next look; none: this machine's own way is full.
   */
  mayHeavy(windowBytes: number, now: number): boolean {
    this.#set(WORD.ready, windowBytes > 0 ? 1 : 0);
    if (windowBytes <= 0) return false;
    if (this.#yields(windowBytes, now)) return false;
    const waits = this.#isAhead();
    if (waits && !this.#waitsForTurn) this.counters.turns++;
    this.#waitsForTurn = waits;
    return !waits;
  }

  /** No heavy traffic waits any more: nobody need wait for it. */
  hasNothing(): void {
    this.#set(WORD.ready, 0);
  }

  /** Heavy traffic was sent. */
  sentHeavy(bytes: number): void {
    this.#grant = Math.max(0, this.#grant - bytes);
    this.#restBytes += bytes;
    const kib = this.#restBytes >>> 10;
    this.#restBytes &= 1023;
    this.#set(WORD.sentKib, (this.#get(this.#slot, WORD.sentKib) + kib) | 0);
  }

  #yields(windowBytes: number, now: number): boolean {
    const epochs = this.#others().some(slot => this.#presenceOf(slot) === PRESENCE.epoch);
    if (!epochs) {
      this.#yieldSince = undefined;
      return false;
    }
    if (this.#grant > 0) return false;
    if (this.#yieldSince === undefined) {
      this.#yieldSince = now;
      this.counters.yields++;
    }
    if (now - this.#yieldSince < YIELD_MS) return true;
    this.#grant = windowBytes;
    this.#yieldSince = undefined;
    return false;
  }

  #isAhead(): boolean {
    const own = this.#get(this.#slot, WORD.sentKib);
    return this.#contenders().some(slot => ((own - this.#get(slot, WORD.sentKib)) | 0) > TURN_KIB);
  }

  /** Who was away has no claim on what others have sent meanwhile, and no debt. */
  #join(): void {
    const [first, ...more] = this.#contenders().map(slot => this.#get(slot, WORD.sentKib));
    if (first === undefined) return;
    const least = more.reduce((kib, other) => (((other - kib) | 0) < 0 ? other : kib), first);
    this.#set(WORD.sentKib, least);
  }

  /** Other machines whose heavy traffic could be sent now. */
  #contenders(): number[] {
    return this.#others().filter(
      slot => this.#presenceOf(slot) === PRESENCE.heavy && this.#get(slot, WORD.ready) === 1,
    );
  }

  #others(): number[] {
    return OTHERS[this.#slot]!;
  }

  #presenceOf(slot: number): number {
    return this.#get(slot, WORD.presence);
  }

  #get(slot: number, word: number): number {
    return Atomics.load(this.#words, slot * WORDS + word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#words, this.#slot * WORDS + word, value);
  }
}

/** The other slots of each slot. */
const ALL = Array.from({ length: SLOTS }, (_, slot) => slot);
const OTHERS = ALL.map(slot => ALL.filter(other => other !== slot));
