/**
 * The backup's end of a replication connection. Pure: see channel.ts.
 *
 *   state      takes                                          leaves by
 *   greeting   HELLO                                          verdict → admitted; REFUSE → closed
 *   admitted   FULL_BEGIN; CHECKPOINT_BEGIN of the pair held  bye(), loss, any error → closed
 *   frozen     nothing: messages are counted and dropped      bye(), loss → closed
 *   closed     nothing
 *
 * A checkpoint must carry the generation and both incarnations of the pair whose state is held, and
 * the epoch after the committed one. It counts only with its COMMIT; whatever ends the connection
 * before that leaves the committed state as it was. An acknowledgement leaves only by `ack`, which
 * the integrator calls from `committed` (so that it leaves before the shadow is touched) or later.
 *
 * `hold` puts commits off while somebody reads the shadow: the messages of the checkpoint under way
 * are taken, its COMMIT and all that follows wait in memory. Beats go on, so neither end takes the
 * other for dead.
 *
 * Invariant: acked ≤ committed; after `freeze`, and during a hold, neither changes.
 */
import assert from 'node:assert/strict';
import { asCurlingError, CurlingError } from '../../common/errors.ts';
import { PACKING_FORM } from '../packing/format.ts';
import { lz4 } from '../packing/lz4.ts';
import { Channel, unexpected } from './channel.ts';
import { type Frame, frameError, versionError } from './decode.ts';
import { jsonPayload, standbyPayload, vmIdOf } from './encode.ts';
import type { Link } from './link.ts';
import { parseFullBegin, parseHello, parseReason } from './parse.ts';
import type { CheckpointSink } from './sink.ts';
import {
  type Hello,
  MESSAGE,
  NO_INCARNATION,
  type PairIdentity,
  PROTOCOL_VERSION,
  type StandbyWord,
} from './types.ts';

export interface ReceiverOptions {
  vm: string;
  /** Host id of this backup. */
  host: string;
  /** This host's incarnation, 32 hex digits. */
  incarnation: string;
}

/**
 * What the backup's coordinator hears. Only `hello` and `full` may throw, and only a CurlingError.
 */
export interface ReceiverHandlers {
  /** A primary asks to be admitted. Resolves to admit it, throws a CurlingError to refuse it. */
  hello(hello: Hello): Promise<void>;
  /**
   * A full copy of this pair would begin and what is held would be given up. Throws a CurlingError
   * to refuse it.
   */
  full(pair: PairIdentity, epoch: number): void;
  /**
   * Everything up to `epoch` survives a crash of this process: call `ack(epoch)` now if it may be
   * said.
   */
  committed(epoch: number): void;
  /** Bytes came from the primary. */
  heard(nowMs: number): void;
  /** The primary says that its QEMU is gone. */
  guestLost(reason: string): void;
  /** The primary ends in good order; `closed` follows. The state is kept. */
  bye(reason: string): void;
  /** The end, exactly once. */
  closed(error?: CurlingError): void;
}

/** Messages that wait at most, in payload bytes; as much as a primary sends ahead by default. */
const HELD_BYTES_MAX = 256 << 20;

/** What waits for the end of a hold. */
interface Hold {
  frames: Frame[];
  bytes: number;
  bytesMax: number;
  /** When the first COMMIT came. */
  sinceMs: number;
  over: (why: string) => void;
}

export class ReceiverSession {
  readonly channel: Channel;
  /** Messages dropped because of `freeze`. */
  dropped = 0;
  readonly #options: ReceiverOptions;
  readonly #handlers: ReceiverHandlers;
  readonly #sink: CheckpointSink;
  readonly #vmId: string;
  #state: 'greeting' | 'admitted' | 'frozen' | 'closed' = 'greeting';
  #hello: Hello | undefined;
  /** The checkpoint whose begin was accepted and whose end has not come. */
  #open: { pair: PairIdentity; epoch: number } | undefined;
  #acked = -1;
  #hold: Hold | undefined;

  constructor(
    options: ReceiverOptions,
    sink: CheckpointSink,
    link: Link,
    handlers: ReceiverHandlers,
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#sink = sink;
    this.#vmId = vmIdOf(options.vm);
    this.channel = new Channel(link, this.#vmId, {
      address: () => this.#address(),
      frame: (frame, nowMs) => this.#received(frame, nowMs),
      heard: nowMs => handlers.heard(nowMs),
      peerBye: reason => handlers.bye(reason),
      refused: () => {},
      closed: error => this.#closed(error),
    });
  }

  get state(): 'greeting' | 'admitted' | 'frozen' | 'closed' {
    return this.#state;
  }

  /** The primary's HELLO, once it came. */
  get hello(): Hello | undefined {
    return this.#hello;
  }

  /**
   * Acknowledges everything up to `epoch`, which must be committed. Returns false, and says
   * nothing, when the session is frozen or closed.
   */
  ack(epoch: number): boolean {
    if (this.#state !== 'admitted') return false;
    const { identity, committed } = this.#sink;
    assert(identity && committed !== undefined, 'an acknowledgement follows a commit');
    assert(epoch > this.#acked && epoch <= committed, `acked < ${epoch} ≤ committed`);
    this.#sink.noteAck(epoch);
    this.#acked = epoch;
    this.channel.send(MESSAGE.ack, { ...identity, epoch, vmId: this.#vmId });
    return true;
  }

  /** Tells an admitted primary what has become of the standby. */
  standby(word: StandbyWord): void {
    if (this.#state !== 'admitted') return;
    this.channel.send(MESSAGE.standby, this.#address(), standbyPayload(word));
  }

  /** From now on nothing is accepted and nothing acknowledged: this host has asked to take over. */
  freeze(): void {
    if (this.#state === 'admitted') this.#state = 'frozen';
    this.dropped += this.#hold?.frames.length ?? 0;
    this.#hold = undefined;
    this.#forget();
  }

  /**
   * Commits nothing until `goOn`, so that the shadow stays as it is.
   * @param over Called with the reason when the hold is over by itself: more than `bytesMax` would
   *   wait, or the primary has lost its guest. What waited is taken right after it, and changes the
   *   shadow.
   */
  hold(over: (why: string) => void, bytesMax = HELD_BYTES_MAX): void {
    assert(!this.#hold && this.#state === 'admitted', 'one hold at a time');
    this.#hold = { frames: [], bytes: 0, bytesMax, sinceMs: 0, over };
  }

  /**
   * Takes what waited, in its order, and returns for how many milliseconds the first commit did; 0
   * when none did, or the hold is over already.
   */
  goOn(nowMs: number): number {
    const hold = this.#hold;
    this.#hold = undefined;
    if (!hold || hold.frames.length === 0) return 0;
    this.channel.again(hold.frames, nowMs);
    return nowMs - hold.sinceMs;
  }

  /** Ends in good order. */
  bye(reason: string): void {
    this.channel.bye(reason);
  }

  #address() {
    const { identity, committed } = this.#sink;
    return {
      generation: identity?.generation ?? this.#hello?.generation ?? 0,
      epoch: committed ?? 0,
      vmId: this.#vmId,
      sender: this.#hello?.sender ?? NO_INCARNATION,
      receiver: this.#options.incarnation,
    };
  }

  #received(frame: Frame, nowMs: number): void {
    if (this.#state === 'frozen') {
      this.dropped++;
      return;
    }
    if (this.#hold && this.#waits(this.#hold, frame, nowMs)) return;
    if (this.#state === 'greeting') {
      if (frame.type !== MESSAGE.hello) throw unexpected(frame, 'HELLO is expected');
      const hello = parseHello(frame);
      frame.payload.release();
      return this.#greet(hello);
    }
    this.#checkPair(frame);
    switch (frame.type) {
      case MESSAGE.fullBegin:
        return this.#beginFull(frame);
      case MESSAGE.checkpointBegin:
        return this.#beginCheckpoint(frame);
      case MESSAGE.pages:
      case MESSAGE.packed:
        this.#checkOpen(frame);
        return this.#sink.pages(frame);
      case MESSAGE.device:
      case MESSAGE.devicePacked:
        this.#checkOpen(frame);
        return this.#sink.device(frame);
      case MESSAGE.commit:
        return this.#commit(frame);
      case MESSAGE.abort:
        this.#checkOpen(frame);
        return this.#forget();
      case MESSAGE.guestLost:
        return this.#handlers.guestLost(parseReason(frame));
      default:
        throw unexpected(frame, this.#state);
    }
  }

  /** Puts a message off, if it is one that has to wait. */
  #waits(hold: Hold, frame: Frame, nowMs: number): boolean {
    const lost = frame.type === MESSAGE.guestLost;
    if (!lost && hold.frames.length === 0 && frame.type !== MESSAGE.commit) return false;
    if (!lost && hold.bytes + frame.payload.bytes <= hold.bytesMax) {
      if (hold.frames.length === 0) hold.sinceMs = nowMs;
      hold.frames.push(frame);
      hold.bytes += frame.payload.bytes;
      return true;
    }
    hold.over(
      lost ? 'the primary has lost its guest' : `more than ${hold.bytesMax} bytes wait for it`,
    );
    this.goOn(nowMs);
    // An error among what waited has ended the connection.
    return !this.channel.open;
  }

  #greet(hello: Hello): void {
    if (hello.protocol !== PROTOCOL_VERSION) throw versionError(hello.protocol);
    if (hello.vm !== this.#options.vm || hello.sender === NO_INCARNATION) {
      const text = `expected VM ${this.#options.vm} and an incarnation, got ${hello.vm}`;
      throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
    }
    this.#hello = hello;
    this.#wait(this.#handlers.hello(hello), () => this.#welcome());
  }

  #welcome(): void {
    this.#state = 'admitted';
    const { identity, committed, stagedBytesMax } = this.#sink;
    const known =
      identity?.sender === this.#hello?.sender && identity?.receiver === this.#options.incarnation;
    let held = {};
    if (known && identity && committed !== undefined) {
      // To say what is committed is to acknowledge it.
      this.#sink.noteAck(committed);
      this.#acked = committed;
      held = { committed, generation: identity.generation };
    }
    const packing = lz4 ? { packing: PACKING_FORM } : {};
    const welcome = { host: this.#options.host, stagedBytesMax, ...packing, ...held };
    this.channel.send(MESSAGE.welcome, this.#address(), jsonPayload(welcome));
  }

  #beginFull(frame: Frame): void {
    if (this.#open) throw unexpected(frame, `epoch ${this.#open.epoch} is not ended`);
    const layout = parseFullBegin(frame);
    const pair = pairOf(frame);
    this.#handlers.full(pair, frame.epoch);
    this.#open = { pair, epoch: frame.epoch };
    this.#acked = -1;
    this.#wait(this.#sink.beginFull(frame, layout), () => frame.payload.release());
  }

  #beginCheckpoint(frame: Frame): void {
    if (this.#open) throw unexpected(frame, `epoch ${this.#open.epoch} is not ended`);
    const { identity, committed } = this.#sink;
    const pair = pairOf(frame);
    if (!identity || committed === undefined || !samePair(identity, pair)) {
      const text = `checkpoint ${frame.epoch} is not of the pair that this backup belongs to`;
      throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
    }
    if (frame.epoch !== committed + 1) {
      throw frameError(`expected checkpoint ${committed + 1}, got ${frame.epoch}`);
    }
    this.#open = { pair, epoch: frame.epoch };
    this.#sink.beginCheckpoint(frame);
  }

  #commit(frame: Frame): void {
    this.#checkOpen(frame);
    this.#sink.commit(frame);
    this.#open = undefined;
    assert(this.#sink.committed === frame.epoch, 'a commit makes its epoch the committed one');
    this.#handlers.committed(frame.epoch);
    this.#sink.apply();
  }

  /** Both incarnations are in every message after HELLO. */
  #checkPair(frame: Frame): void {
    if (frame.sender === this.#hello?.sender && frame.receiver === this.#options.incarnation)
      return;
    const text = `message ${frame.type} is for incarnation ${frame.receiver} from ${frame.sender}`;
    throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
  }

  #checkOpen(frame: Frame): void {
    const open = this.#open;
    if (open && open.epoch === frame.epoch && open.pair.generation === frame.generation) return;
    throw unexpected(frame, open ? `epoch ${open.epoch} is under way` : 'no checkpoint is');
  }

  /** Looks at no further message until `work` is done. */
  #wait(work: Promise<void>, done: () => void): void {
    this.channel.block();
    work.then(
      () => {
        if (!this.channel.open) return;
        done();
        this.channel.unblock();
      },
      error => this.channel.fail(asCurlingError(error)),
    );
  }

  #forget(): void {
    this.#open = undefined;
    this.#sink.abort();
  }

  #closed(error?: CurlingError): void {
    const greeted = this.#state !== 'greeting';
    this.#state = 'closed';
    this.#hold = undefined;
    // A connection that was never admitted has nothing in the sink; another one may have.
    if (greeted) this.#forget();
    this.#handlers.closed(error);
  }
}

function pairOf({ generation, sender, receiver }: Frame): PairIdentity {
  return { generation, sender, receiver };
}

function samePair(a: PairIdentity, b: PairIdentity): boolean {
  return a.generation === b.generation && a.sender === b.sender && a.receiver === b.receiver;
}
