/**
 * A primary's and a backup's session joined in memory, with a sink that keeps everything in plain
 * lists.
 */
import { Assembly } from '../../coordinator/checkpoint/assembly.ts';
import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';
import type { Frame } from '../../coordinator/replication/decode.ts';
import { type ReceiverHandlers, ReceiverSession } from '../../coordinator/replication/receiver.ts';
import {
  type SenderHandlers,
  type SenderOptions,
  SenderSession,
} from '../../coordinator/replication/sender.ts';
import type { CheckpointSink } from '../../coordinator/replication/sink.ts';
import { MESSAGE, type PairIdentity } from '../../coordinator/replication/types.ts';
import { chunkOf, RECEIVER, SENDER } from './fixtures.ts';
import { type MemoryEnd, MemoryLink, settle } from './memory-link.ts';

export const LAYOUT: GuestLayout = {
  machine: 'pc-i440fx-7.2',
  subsections: Buffer.from([5, 1, 2, 3]),
  ram: { sectionId: 2, instanceId: 0, version: 4 },
  blocks: [
    { name: 'pc.ram', bytes: 64 * 4096 },
    { name: 'vga.vram', bytes: 8 * 4096 },
  ],
  mainBlock: 0,
};

/** Verifies as the store does, and keeps only numbers. */
export class ListSink implements CheckpointSink {
  identity: PairIdentity | undefined;
  committed: number | undefined;
  stagedBytesMax = 1 << 20;
  layout: GuestLayout | undefined;
  readonly acks: number[] = [];
  /** What happened, in order: `begin 5`, `pages`, `device`, `commit 5`, `apply`, `abort`. */
  readonly log: string[] = [];
  #assembly: Assembly | undefined;

  async beginFull(frame: Frame, layout: GuestLayout): Promise<void> {
    this.identity = undefined;
    this.committed = undefined;
    this.layout = layout;
    await new Promise(resolve => setImmediate(resolve));
    this.#begin(frame);
  }

  beginCheckpoint(frame: Frame): void {
    this.#begin(frame);
  }

  pages(frame: Frame): void {
    if (frame.type === MESSAGE.packed) this.#assembly?.packed(frame, (_, __, into) => into.fill(0));
    else this.#assembly?.pages(frame);
    this.log.push('pages');
  }

  device(frame: Frame): void {
    if (frame.type === MESSAGE.devicePacked) this.#assembly?.devicePacked(frame, undefined);
    else this.#assembly?.device(frame);
    this.log.push('device');
  }

  commit(frame: Frame): void {
    this.#assembly?.finish(frame);
    const { generation, sender, receiver } = frame;
    this.identity = { generation, sender, receiver };
    this.committed = frame.epoch;
    this.#assembly = undefined;
    this.log.push(`commit ${frame.epoch}`);
  }

  abort(): void {
    if (this.#assembly) this.log.push('abort');
    this.#assembly = undefined;
  }

  apply(): void {
    this.log.push('apply');
  }

  noteAck(epoch: number): void {
    this.acks.push(epoch);
    this.log.push(`ack ${epoch}`);
  }

  #begin(frame: Frame): void {
    const limits = { stagedBytesMax: this.stagedBytesMax, deviceBytesMax: 2 << 20 };
    this.#assembly = new Assembly(frame, this.layout!, limits);
    this.log.push(`begin ${frame.epoch}`);
  }
}

export interface WorldOptions {
  sender?: Partial<SenderOptions>;
  receiver?: Partial<ReceiverHandlers>;
  sink?: ListSink;
  /** VM name and incarnation of the backup. */
  vm?: string;
  incarnation?: string;
  /** Whether the backup acknowledges each commit. Default true. */
  acks?: boolean;
  pieceBytes?: number;
}

export class World {
  readonly sink: ListSink;
  /** What each end heard, such as `ack 5`, `closed CODE`. */
  readonly primary: string[] = [];
  readonly backup: string[] = [];
  readonly session: SenderSession;
  readonly receiver: ReceiverSession;
  readonly a: MemoryEnd;
  readonly b: MemoryEnd;
  readonly #pieceBytes: number;

  constructor(options: WorldOptions = {}) {
    this.sink = options.sink ?? new ListSink();
    this.#pieceBytes = options.pieceBytes ?? 65_536;
    const sendLink = new MemoryLink();
    const receiveLink = new MemoryLink();
    const sender: SenderOptions = {
      vm: 'vm1',
      host: 'hostA',
      generation: 1,
      epoch: 4,
      guest: { machine: 'pc' },
      mainBytes: 64 * 4096,
      sender: SENDER,
      ...options.sender,
    };
    this.session = new SenderSession(sender, sendLink, this.#senderHandlers());
    this.receiver = new ReceiverSession(
      { vm: options.vm ?? 'vm1', host: 'hostB', incarnation: options.incarnation ?? RECEIVER },
      this.sink,
      receiveLink,
      { ...this.#receiverHandlers(options.acks ?? true), ...options.receiver },
    );
    this.a = { link: sendLink, channel: this.session.channel };
    this.b = { link: receiveLink, channel: this.receiver.channel };
  }

  /** Both ends talk until both are silent. */
  async settle(): Promise<void> {
    await settle(this.a, this.b, this.#pieceBytes);
  }

  async greet(): Promise<void> {
    this.session.start();
    await this.settle();
  }

  /** A pair with a committed full copy of epoch 5 in generation 2. */
  async pair(): Promise<void> {
    await this.greet();
    this.session.beginFull(2, 5, LAYOUT);
    this.fill();
    this.session.commit();
    await this.settle();
  }

  /** A whole checkpoint, not delivered yet. */
  checkpoint(epoch: number): void {
    this.session.beginCheckpoint(epoch);
    this.fill();
    this.session.commit();
  }

  /** Two pages and a device state. */
  fill(): void {
    const pages = [
      { block: 0, page: 3, byte: 1 },
      { block: 1, page: 7, byte: 2 },
    ];
    this.session.chunk(chunkOf(pages), () => this.primary.push('sent'));
    this.session.device(Buffer.alloc(100, 7));
  }

  #senderHandlers(): SenderHandlers {
    const say = (text: string) => this.primary.push(text);
    return {
      welcome: welcome => say(`welcome ${welcome.host}`),
      ack: epoch => say(`ack ${epoch}`),
      windowOpen: () => say('window'),
      heard: () => {},
      refused: error => say(`refused ${error.code}`),
      bye: reason => say(`bye ${reason}`),
      standby: ({ up, reason }) => say(`standby ${up ? 'up' : 'gone'} ${reason}`),
      closed: error => say(`closed ${error?.code ?? 'well'}`),
    };
  }

  #receiverHandlers(acks: boolean): ReceiverHandlers {
    const say = (text: string) => this.backup.push(text);
    return {
      hello: async hello => void say(`hello ${hello.host}`),
      full: (pair, epoch) => void say(`full ${pair.generation} ${epoch}`),
      committed: epoch => {
        say(`committed ${epoch}`);
        if (acks) this.receiver.ack(epoch);
      },
      heard: () => {},
      guestLost: reason => say(`lost ${reason}`),
      bye: reason => say(`bye ${reason}`),
      closed: error => say(`closed ${error?.code ?? 'well'}`),
    };
  }
}
