/**
 * The primary's end of a replication connection. Pure: see channel.ts.
 *
 *   state     may                                        leaves by
 *   greeting  nothing; HELLO is out                      WELCOME → ready; REFUSE, loss → closed
 *   ready     beginFull; beginCheckpoint of the pair     REFUSE, BYE, loss, bye() → closed
 *   closed    calls do nothing; `onSent` is still called
 *
 * A checkpoint that is larger than the backup's bound (WELCOME) is given up, and the session with it.
 *
 * Within ready at most one checkpoint is open: begin, chunk…, device, commit or abort. Those
 * committed and not yet acknowledged are in flight; `window` says whether a further one may begin.
 * An abort frees its epoch for another try.
 *
 * Invariant: acked < in flight, ascending without a gap < open epoch.
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../../common/errors.ts';
import type { GuestLayout } from '../checkpoint/layout.ts';
import { layoutToJson } from '../checkpoint/layout-json.ts';
import type { PageChunk } from '../checkpoint/page-chunk.ts';
import { Channel, unexpected } from './channel.ts';
import { type Frame, frameError } from './decode.ts';
import {
  commitPayload,
  devicePayload,
  jsonPayload,
  pagesPayload,
  reasonPayload,
  vmIdOf,
} from './encode.ts';
import type { Link } from './link.ts';
import { parseStandby, parseWelcome } from './parse.ts';
import { CheckpointSummary } from './summary.ts';
import {
  DEVICE_PIECE_BYTES,
  type FrameAddress,
  type Hello,
  MESSAGE,
  type MessageType,
  NO_INCARNATION,
  PC_RAM,
  PROTOCOL_VERSION,
  type StandbyWord,
  type Welcome,
} from './types.ts';

export interface SenderOptions extends Omit<Hello, 'protocol' | 'mainBlock'> {
  /** As in Hello. Default PC_RAM. */
  mainBlock?: string;
  /** Checkpoints in flight, 1 or more. Default 4. */
  checkpointsMax?: number;
  /**
   * No further checkpoint begins while this many payload bytes are not acknowledged. Default 64
   * MiB.
   */
  inFlightBytesMax?: number;
}

/** What the primary's coordinator hears. All are called from within the session; none may throw. */
export interface SenderHandlers {
  /** The backup admits us. */
  welcome(welcome: Welcome): void;
  /** Everything up to and including this epoch is committed at the backup. */
  ack(epoch: number): void;
  /** `window` was closed and is open now. */
  windowOpen(): void;
  /** Bytes came from the backup. */
  heard(nowMs: number): void;
  /** The backup refuses; `closed` follows. */
  refused(error: CurlingError): void;
  /** The backup ends in good order; `closed` follows. */
  bye(reason: string): void;
  /** What has become of the backup's standby. */
  standby?(word: StandbyWord): void;
  /** The end, exactly once. */
  closed(error?: CurlingError): void;
}

interface OpenCheckpoint {
  epoch: number;
  full: boolean;
  summary: CheckpointSummary;
  /** Whether the link was told that it is on its way. */
  told: boolean;
}

export class SenderSession {
  readonly channel: Channel;
  /** Acknowledgements of an earlier generation, which mean nothing. */
  staleAcks = 0;
  readonly #options: Required<SenderOptions>;
  readonly #handlers: SenderHandlers;
  readonly #vmId: string;
  readonly #link: Link;
  #state: 'greeting' | 'ready' | 'closed' = 'greeting';
  #receiver = NO_INCARNATION;
  /**
   * Generation of the pair that checkpoints belong to; none before a full copy or an intact backup.
   */
  #generation: number | undefined;
  #acked = -1;
  /** The epoch that the next checkpoint of the pair must have. */
  #nextEpoch = 0;
  #open: OpenCheckpoint | undefined;
  readonly #inFlight: { epoch: number; bytes: number }[] = [];
  #inFlightBytes = 0;
  #windowWanted = false;
  /** Most payload bytes of one checkpoint, as the backup has announced. */
  #peerBytesMax = Number.POSITIVE_INFINITY;
  #exceeded = false;

  constructor(options: SenderOptions, link: Link, handlers: SenderHandlers) {
    const defaults = { checkpointsMax: 4, inFlightBytesMax: 64 << 20, mainBlock: PC_RAM };
    this.#options = { ...defaults, ...options };
    this.#handlers = handlers;
    this.#vmId = vmIdOf(options.vm);
    this.#link = link;
    this.channel = new Channel(link, this.#vmId, {
      address: () => this.#address(),
      frame: frame => this.#received(frame),
      heard: nowMs => handlers.heard(nowMs),
      peerBye: reason => handlers.bye(reason),
      refused: error => handlers.refused(error),
      closed: error => this.#closed(error),
    });
  }

  /** Sends HELLO; the connection is up. */
  start(): void {
    const { vm, host, guest, mainBlock, mainBytes } = this.#options;
    const hello = { vm, host, protocol: PROTOCOL_VERSION, guest, mainBlock, mainBytes };
    this.channel.send(MESSAGE.hello, this.#address(), jsonPayload(hello));
  }

  get state(): 'greeting' | 'ready' | 'closed' {
    return this.#state;
  }

  /**
   * Whether a further checkpoint may begin now. Closed, it makes `windowOpen` be called once it
   * opens.
   */
  get window(): boolean {
    const open =
      this.#state === 'ready' &&
      this.#open === undefined &&
      this.#inFlight.length < this.#options.checkpointsMax &&
      this.#inFlightBytes < this.#options.inFlightBytesMax;
    if (!open) this.#windowWanted = true;
    return open;
  }

  /** Payload bytes and checkpoints that are committed here and not acknowledged. */
  get inFlight(): { checkpoints: number; bytes: number } {
    return { checkpoints: this.#inFlight.length, bytes: this.#inFlightBytes };
  }

  /**
   * Begins the full copy of a new pair: the state of the guest at `epoch`, under `generation`,
   * which all checkpoints after it carry too. What was in flight for an earlier pair is forgotten.
   */
  beginFull(generation: number, epoch: number, layout: GuestLayout): void {
    if (this.#state === 'closed') return;
    assert(this.#state === 'ready' && !this.#open, 'a full copy begins between checkpoints');
    this.#generation = generation;
    this.#inFlight.length = 0;
    this.#inFlightBytes = 0;
    this.#acked = epoch - 1;
    this.#begin(MESSAGE.fullBegin, epoch, jsonPayload(layoutToJson(layout)));
  }

  /** Begins the checkpoint after the last one. */
  beginCheckpoint(epoch: number): void {
    if (this.#state === 'closed') return;
    assert(this.#state === 'ready' && !this.#open, 'a checkpoint begins between checkpoints');
    assert(this.#generation !== undefined, 'a checkpoint follows a full copy');
    assert(epoch === this.#nextEpoch, `epoch ${this.#nextEpoch} is next, not ${epoch}`);
    this.#begin(MESSAGE.checkpointBegin, epoch, []);
  }

  /**
   * Sends pages from where they lie. The chunk may be used again once `onSent` is called, which
   * always happens.
   */
  chunk(chunk: PageChunk, onSent: () => void): void {
    if (this.#state === 'closed') return queueMicrotask(onSent);
    this.#send(MESSAGE.pages, pagesPayload(chunk), chunk.count, onSent);
  }

  /** Sends a chunk of `pages` pages in the form of packing/format.ts. `onSent` as with `chunk`. */
  packed(payload: readonly Buffer[], pages: number, onSent: () => void): void {
    if (this.#state === 'closed') return queueMicrotask(onSent);
    this.#send(MESSAGE.packed, payload, pages, onSent);
  }

  /** Sends the whole device state in the form of packing/device-state.ts. */
  devicePacked(payload: readonly Buffer[]): void {
    if (this.#state !== 'closed') this.#send(MESSAGE.devicePacked, payload, 0);
  }

  /** Sends the device state from where it lies: not empty, and not to be changed until `onSent`. */
  device(device: Buffer, onSent?: () => void): void {
    if (this.#state === 'closed') return onSent ? queueMicrotask(onSent) : undefined;
    assert(device.length > 0, 'a checkpoint has device state');
    for (let at = 0; at < device.length; at += DEVICE_PIECE_BYTES) {
      const piece = device.subarray(at, at + DEVICE_PIECE_BYTES);
      const last = at + piece.length === device.length;
      const payload = devicePayload(piece, at, device.length);
      this.#send(MESSAGE.device, payload, 0, last ? onSent : undefined);
    }
  }

  /** Ends the open checkpoint; from here on it is in flight. */
  commit(): void {
    if (this.#state === 'closed' || this.#exceeded) return;
    const open = this.#open;
    assert(open, 'commit ends an open checkpoint');
    const record = open.summary.record();
    this.channel.send(MESSAGE.commit, this.#pairAddress(open.epoch), commitPayload(record));
    this.#open = undefined;
    this.#nextEpoch = open.epoch + 1;
    this.#inFlight.push({ epoch: open.epoch, bytes: record.payloadBytes });
    this.#inFlightBytes += record.payloadBytes;
    this.#check();
  }

  /**
   * Gives the open checkpoint up; the backup stays at the one before. An aborted full copy leaves
   * no pair.
   */
  abort(): void {
    if (this.#state === 'closed' || !this.#open) return;
    const { epoch, full } = this.#open;
    this.channel.send(MESSAGE.abort, this.#pairAddress(epoch));
    if (full) this.#generation = undefined;
    this.#open = undefined;
  }

  /** Tells the backup that the primary's QEMU is gone, so that it need not wait for silence. */
  guestLost(reason: string): void {
    this.channel.send(MESSAGE.guestLost, this.#address(), reasonPayload(reason));
  }

  /** Ends in good order. */
  bye(reason: string): void {
    this.channel.bye(reason);
  }

  #address(): FrameAddress {
    const { generation, epoch, sender } = this.#options;
    const last = this.#inFlight.at(-1)?.epoch ?? Math.max(this.#acked, epoch);
    return {
      generation: this.#generation ?? generation,
      epoch: last,
      vmId: this.#vmId,
      sender,
      receiver: this.#receiver,
    };
  }

  #received(frame: Frame): void {
    if (frame.sender !== this.#options.sender) {
      const text = 'the backup answers another incarnation of this host';
      throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
    }
    if (this.#state === 'greeting' && frame.type === MESSAGE.welcome) {
      return this.#welcomed(parseWelcome(frame));
    }
    if (this.#state === 'ready' && frame.type === MESSAGE.ack) return this.#acknowledged(frame);
    if (this.#state === 'ready' && frame.type === MESSAGE.standby)
      return this.#handlers.standby?.(parseStandby(frame));
    throw unexpected(frame, this.#state);
  }

  #closed(error?: CurlingError): void {
    this.#state = 'closed';
    this.#open = undefined;
    this.#handlers.closed(error);
  }

  #begin(type: MessageType, epoch: number, payload: readonly Buffer[]): void {
    const full = type === MESSAGE.fullBegin;
    if (full) this.#link.traffic?.('full');
    this.#open = { epoch, full, summary: new CheckpointSummary(), told: false };
    this.#send(type, payload, 0);
  }

  #send(type: MessageType, payload: readonly Buffer[], pages: number, sent?: () => void): void {
    const open = this.#open;
    assert(open, 'pages and device state belong to an open checkpoint');
    // Not before: until its first pages come the guest is being stopped, and others need not wait for that.
    if (!open.full && !open.told && type !== MESSAGE.checkpointBegin) {
      open.told = true;
      this.#link.traffic?.('epoch');
    }
    if (this.#exceeds(open, payload)) return sent ? queueMicrotask(sent) : undefined;
    const frame = this.channel.send(type, this.#pairAddress(open.epoch), payload, sent);
    open.summary.add(frame.digest, frame.payloadBytes, pages);
  }

  /** Whether the backup would refuse the checkpoint: then it is given up here, in good order, once the caller is done. */
  #exceeds({ epoch, full, summary }: OpenCheckpoint, payload: readonly Buffer[]): boolean {
    const bytes = payload.reduce((sum, { length }) => sum + length, summary.payloadBytes);
    if (full || bytes <= this.#peerBytesMax || this.#exceeded) return this.#exceeded;
    this.#exceeded = true;
    const bound = `the backup's bound of ${this.#peerBytesMax} bytes`;
    const text = `epoch ${epoch} has more than ${bound}; raise its --staging-mib, or take checkpoints more often`;
    queueMicrotask(() => {
      this.abort();
      this.channel.bye(text, new CurlingError('CURLING_REPLICATION_LIMIT', text));
    });
    return true;
  }

  #pairAddress(epoch: number): FrameAddress {
    assert(this.#generation !== undefined);
    const { sender } = this.#options;
    const receiver = this.#receiver;
    return { generation: this.#generation, epoch, vmId: this.#vmId, sender, receiver };
  }

  #welcomed(welcome: Welcome): void {
    if (welcome.receiver === NO_INCARNATION) throw frameError('a welcome without an incarnation');
    this.#receiver = welcome.receiver;
    this.#peerBytesMax = welcome.stagedBytesMax;
    this.#state = 'ready';
    if (welcome.committed !== undefined && welcome.generation !== undefined) {
      this.#generation = welcome.generation;
      this.#acked = welcome.committed;
      this.#nextEpoch = welcome.committed + 1;
    }
    this.#handlers.welcome(welcome);
  }

  #acknowledged(frame: Frame): void {
    if (frame.receiver !== this.#receiver) {
      const text = 'an acknowledgement of another incarnation of the backup';
      throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
    }
    if (frame.generation !== this.#generation) {
      this.staleAcks++;
      return;
    }
    const last = this.#inFlight.at(-1)?.epoch ?? this.#acked;
    if (frame.epoch <= this.#acked || frame.epoch > last) {
      const expected = `${this.#acked + 1} to ${last}`;
      throw frameError(`acknowledgement of epoch ${frame.epoch}, expected one of ${expected}`);
    }
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.epoch <= frame.epoch) {
      this.#inFlightBytes -= this.#inFlight.shift()!.bytes;
    }
    this.#acked = frame.epoch;
    this.#check();
    if (this.#inFlight.length === 0 && !this.#open) this.#link.traffic?.('idle');
    this.#handlers.ack(frame.epoch);
    if (this.#windowWanted && this.window) {
      this.#windowWanted = false;
      this.#handlers.windowOpen();
    }
  }

  #check(): void {
    let epoch = this.#acked;
    for (const flying of this.#inFlight) assert(flying.epoch === ++epoch, 'no gap in flight');
    if (this.#inFlight.length === 0) assert(this.#inFlightBytes === 0);
    else assert(epoch + 1 === this.#nextEpoch, 'the next epoch follows those in flight');
  }
}
