/** Both ends of a replication connection, fed with what the other end might say. */

import { CurlingError } from '../../../common/errors.ts';
import { PageChunk } from '../../../coordinator/checkpoint/page-chunk.ts';
import { compareGuests } from '../../../coordinator/qemu/guest-description.ts';
import { FrameDecoder } from '../../../coordinator/replication/decode.ts';
import { encodeFrame, jsonPayload, vmIdOf } from '../../../coordinator/replication/encode.ts';
import { ReceiverSession } from '../../../coordinator/replication/receiver.ts';
import { SenderSession } from '../../../coordinator/replication/sender.ts';
import {
  type FrameAddress,
  MESSAGE,
  type MessageType,
  NO_INCARNATION,
} from '../../../coordinator/replication/types.ts';
import { chunkOf, RECEIVER, SENDER } from '../../replication/fixtures.ts';
import { MemoryLink } from '../../replication/memory-link.ts';
import { LAYOUT, ListSink } from '../../replication/world.ts';
import { codeOf, must, piecesOf, type Target } from '../target.ts';
import { FRAMES, mendFrames } from './replication.ts';

const GUEST = {
  qemuVersion: '7.2.22',
  machine: 'pc-i440fx-7.2-machine',
  ramBytes: 64 * 4096,
  accel: 'kvm' as const,
  cpus: 1,
  cpuFeatures: ['1/EDX=1'],
  pci: ['01.0'],
  devices: [],
};

const SENDER_OPTIONS = {
  vm: 'vm1',
  host: 'a',
  generation: 1,
  epoch: 4,
  guest: GUEST,
  mainBytes: 64 * 4096,
  sender: SENDER,
};

const FROM_PRIMARY: FrameAddress = {
  generation: 1,
  epoch: 0,
  vmId: vmIdOf('vm1'),
  sender: SENDER,
  receiver: RECEIVER,
};

function message(type: MessageType, payload: Buffer[] = [], address: Partial<FrameAddress> = {}) {
  return Buffer.concat(encodeFrame(type, { ...FROM_PRIMARY, ...address }, payload).buffers);
}

const HELLO = message(
  MESSAGE.hello,
  jsonPayload({ vm: 'vm1', host: 'a', protocol: 1, guest: GUEST, mainBytes: 64 * 4096 }),
  { receiver: NO_INCARNATION },
);

/** What a primary says of a full copy of epoch 5 in generation 1, and of two checkpoints: each message by itself. */
function checkpoints(): Buffer[] {
  const link = new MemoryLink();
  const silent = () => {};
  const session = new SenderSession(SENDER_OPTIONS, link, {
    welcome: silent,
    ack: silent,
    windowOpen: silent,
    heard: silent,
    refused: silent,
    bye: silent,
    closed: silent,
  });
  const welcome = jsonPayload({ host: 'b', stagedBytesMax: 1 << 20 });
  session.channel.receive(message(MESSAGE.welcome, welcome), 1);
  const chunk = new PageChunk(2);
  chunk.addFill(0, 3, 7);
  chunk.addFill(1, 7, 0);
  for (const epoch of [5, 6, 7]) {
    if (epoch === 5) session.beginFull(1, epoch, LAYOUT);
    else session.beginCheckpoint(epoch);
    session.chunk(chunk, silent);
    session.device(Buffer.alloc(10, epoch));
    session.commit();
  }
  return link.outbox;
}

/** A primary's whole life: its first word, and all of them. */
function primarySpeech(): Buffer[] {
  const messages = checkpoints();
  const beat = message(MESSAGE.beat, [Buffer.alloc(20, 1)]);
  const short = [HELLO, beat, ...messages.slice(0, 1)];
  return [
    HELLO,
    Buffer.concat([HELLO, ...messages]),
    Buffer.concat([...short, message(MESSAGE.abort, [], { epoch: 5 })]),
    Buffer.concat([...short, message(MESSAGE.guestLost, jsonPayload({ reason: 'gone' }))]),
    Buffer.concat([...short, message(MESSAGE.bye, jsonPayload({ reason: 'ends' }))]),
    Buffer.concat([...short, message(MESSAGE.refuse, jsonPayload({ code: 'CURLING_STORE' }))]),
  ];
}

/** Messages on a link, each decoded. */
function spoken(link: MemoryLink): { type: MessageType; epoch: number; text: string }[] {
  const decoder = new FrameDecoder();
  decoder.push(Buffer.concat(link.outbox));
  const frames: { type: MessageType; epoch: number; text: string }[] = [];
  for (let frame = decoder.next(); frame; frame = decoder.next()) {
    frames.push({ type: frame.type, epoch: frame.epoch, text: frame.payload.flat().toString() });
  }
  must(!decoder.partial, 'only whole messages are sent');
  return frames;
}

/** The sink that remembers at which epoch it was when it was told of an acknowledgement. */
class Witnessed extends ListSink {
  override noteAck(epoch: number): void {
    must(
      this.committed !== undefined && epoch <= this.committed,
      'only what is committed is acknowledged',
    );
    super.noteAck(epoch);
  }
}

/** Runs on until nothing more comes of what was fed. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise(resolve => setImmediate(resolve));
}

export const RECEIVER_END: Target = {
  name: "the backup's end of replication",
  seeds: primarySpeech(),
  words: FRAMES.words!,
  mend: mendFrames,
  allocatedMax: bytes => 16 * bytes + (1 << 20),
  async run(attempt) {
    const sink = new Witnessed();
    const link = new MemoryLink();
    const heard: string[] = [];
    let closed = 0;
    const session = new ReceiverSession(
      { vm: 'vm1', host: 'b', incarnation: RECEIVER },
      sink,
      link,
      {
        hello: async hello => {
          const differences = compareGuests(GUEST, hello.guest);
          if (differences.length === 0) return void heard.push(`hello ${hello.host}`);
          throw new CurlingError('CURLING_QEMU_MISMATCH', differences.join('; '));
        },
        full: (pair, epoch) => void heard.push(`full ${pair.generation} ${epoch}`),
        committed: epoch => {
          heard.push(`committed ${epoch}`);
          session.ack(epoch);
        },
        heard: () => {},
        guestLost: reason => heard.push(`lost ${reason}`),
        bye: reason => heard.push(`bye ${reason}`),
        closed: error => {
          closed++;
          heard.push(`closed ${error ? codeOf(error) : 'well'}`);
        },
      },
    );
    for (const piece of piecesOf(attempt)) session.channel.receive(piece, 1);
    await quiet();
    must(closed === (session.channel.open ? 0 : 1), 'the end is told exactly once');
    must(session.channel.open || link.ended, 'a session that is over ends its connection');
    const frames = spoken(link);
    const acks = frames.filter(frame => frame.type === MESSAGE.ack).map(frame => frame.epoch);
    const commits = sink.log
      .filter(line => line.startsWith('commit'))
      .map(line => Number(line.slice(7)));
    must(acks.join() === commits.join(), `acknowledged ${acks}, committed ${commits}`);
    const code = /^closed (CURLING\w+)/.exec(heard.at(-1) ?? '')?.[1];
    if (
      code &&
      code !== 'CURLING_CONNECTION_LOST' &&
      frames.length > 0 &&
      !refusedUs(heard, attempt.input)
    ) {
      const last = frames.at(-1)!;
      must(last.type !== MESSAGE.refuse || last.text.includes(code), 'a refusal says why');
    }
    return `${[...sink.log, ...frames.map(f => `sent ${f.type} ${f.epoch}`), ...heard].join('\n')}`;
  },
};

/** Whether the end may have come from a REFUSE of the peer, which is not answered. */
function refusedUs(heard: readonly string[], input: Buffer): boolean {
  return heard.length > 0 && input.includes('CURLING_');
}

/** What a backup says to a primary with three checkpoints in flight. */
function backupSpeech(): Buffer[] {
  const to = { generation: 2 };
  const welcome = message(MESSAGE.welcome, jsonPayload({ host: 'b', stagedBytesMax: 1 << 20 }), to);
  const acks = [5, 6, 7].map(epoch => message(MESSAGE.ack, [], { ...to, epoch }));
  const beat = message(MESSAGE.beat, [Buffer.alloc(20, 1)], to);
  return [
    welcome,
    Buffer.concat([welcome, ...acks, beat]),
    Buffer.concat([welcome, acks[0]!, acks[2]!]),
    Buffer.concat([welcome, message(MESSAGE.ack, [], { generation: 1, epoch: 5 })]),
    Buffer.concat([welcome, message(MESSAGE.standby, jsonPayload({ up: false, reason: 'x' }), to)]),
    Buffer.concat([welcome, message(MESSAGE.bye, jsonPayload({ reason: 'ends' }), to)]),
    message(MESSAGE.refuse, jsonPayload({ code: 'CURLING_STORE', desc: 'full' }), to),
  ];
}

export const SENDER_END: Target = {
  name: "the primary's end of replication",
  seeds: backupSpeech(),
  words: FRAMES.words!,
  mend: mendFrames,
  allocatedMax: bytes => 16 * bytes + (6 << 20),
  run(attempt) {
    const link = new MemoryLink();
    const heard: string[] = [];
    let acked = 0;
    let flying = false;
    const session = new SenderSession(SENDER_OPTIONS, link, {
      welcome: welcome => {
        heard.push(`welcome ${welcome.host} ${welcome.stagedBytesMax}`);
        session.beginFull(2, 5, LAYOUT);
        for (const epoch of [5, 6, 7]) {
          if (epoch > 5) session.beginCheckpoint(epoch);
          session.chunk(CHUNK, () => {});
          session.device(Buffer.alloc(10, 7));
          session.commit();
        }
        flying = true;
      },
      ack: epoch => {
        must(flying && epoch > acked && epoch >= 5 && epoch <= 7, `an acknowledgement of ${epoch}`);
        acked = epoch;
        heard.push(`ack ${epoch}`);
      },
      windowOpen: () => {},
      heard: () => {},
      refused: error => heard.push(`refused ${codeOf(error)}`),
      bye: reason => heard.push(`bye ${reason}`),
      standby: ({ up, reason }) => heard.push(`standby ${up} ${reason}`),
      closed: error => heard.push(`closed ${error ? codeOf(error) : 'well'}`),
    });
    session.start();
    for (const piece of piecesOf(attempt)) session.channel.receive(piece, 1);
    const ends = heard.filter(line => line.startsWith('closed')).length;
    must(ends === (session.channel.open ? 0 : 1), 'the end is told exactly once');
    must(session.channel.open || link.ended, 'a session that is over ends its connection');
    const { staleAcks } = session;
    return [
      ...heard,
      `${session.state}, ${session.inFlight.checkpoints} in flight, ${staleAcks} stale`,
    ].join('\n');
  },
};

const CHUNK = chunkOf([{ block: 0, page: 3, byte: 1 }]);
