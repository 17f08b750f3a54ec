/**
 * The replication wire: what travels between the coordinator of a primary and the one of its
 * backup, over one TCP connection. Every message is a header and a payload, big-endian throughout:
 *
 *    0  u32 magic "CURL"
 *    4  u16 version            the protocol's version, 1
 *    6  u8  type               a value of MESSAGE; 0 is never valid
 *    7  u8  header bytes       88
 *    8  u32 payload bytes      bounded per type by PAYLOAD_BYTES
 *   12  u32 zero               here ends what never changes between versions
 *   16  u64 generation
 *   24  u64 epoch
 *   32  16 bytes VM id         the first half of SHA-256 of the VM's name
 *   48  16 bytes sender        incarnation of the primary, in both directions
 *   64  16 bytes receiver      incarnation of the backup, in both directions; zero in HELLO
 *   80  u64 digest             xxh64 (seed 0) over bytes 0 to 79 and the payload
 *   88  payload
 *
 * The first 16 bytes and REFUSE (JSON `{code, desc}` after the header) stay as they are in every
 * version, so that a peer of another version can be told why it is refused.
 *
 *   primary                                        backup
 *     HELLO (vm, host, guest, main RAM)      ──▶     the integrator decides
 *                                            ◀──     WELCOME (host, committed, limits), or REFUSE
 *     FULL_BEGIN s, PAGES…, DEVICE…, COMMIT  ──▶     written as it arrives; counts with COMMIT
 *                                            ◀──     ACK s
 *     CHECKPOINT_BEGIN n, PAGES…, DEVICE…, COMMIT ▶  staged, verified, committed; n = committed + 1
 *                                                    (PACKED instead of PAGES, DEVICE_PACKED instead of
 *                                                    DEVICE, where WELCOME says so)
 *                                            ◀──     ACK n
 *     ABORT                                  ──▶     forgets the checkpoint under way
 *     BEAT                                   ◀─▶     every 50 ms
 *     GUEST_LOST                             ──▶
 *                                            ◀──     STANDBY: it has died, or another one is up
 *     BYE                                    ◀─▶     an end in good order
 */

import { DEVICE_PACKED_PREFIX_BYTES, PACKED_PREFIX_BYTES } from '../packing/format.ts';

export const MAGIC = 0x4355524c;
export const PROTOCOL_VERSION = 1;
/** The part of the header that is the same in every version. */
export const PREFIX_BYTES = 16;
export const DIGEST_OFFSET = 80;
export const HEADER_BYTES = 88;

export const MESSAGE = {
  hello: 1,
  welcome: 2,
  refuse: 3,
  fullBegin: 4,
  checkpointBegin: 5,
  pages: 6,
  device: 7,
  commit: 8,
  abort: 9,
  ack: 10,
  beat: 11,
  guestLost: 12,
  bye: 13,
  packed: 14,
  standby: 15,
  devicePacked: 16,
} as const;

export type MessageType = (typeof MESSAGE)[keyof typeof MESSAGE];

/** One DEVICE message carries at most this much of the device state. */
export const DEVICE_PIECE_BYTES = 1 << 20;
/**
 * What precedes the entries in PAGES (u32 count, u32 data pages) and the bytes in DEVICE (u32
 * offset, u32 total).
 */
export const PAGES_PREFIX_BYTES = 8;
export const DEVICE_PREFIX_BYTES = 8;
/** u32 messages, u32 pages, u64 payload bytes, u64 digest over the messages' digests. */
export const COMMIT_BYTES = 24;
/** u64 stamp, u64 echo, u32 microseconds for which the echoed stamp was held. */
export const BEAT_BYTES = 20;

/**
 * Shortest and longest payload of each type; checked as soon as the header is there, before
 * anything is kept.
 */
export const PAYLOAD_BYTES: Record<MessageType, readonly [min: number, max: number]> = {
  [MESSAGE.hello]: [2, 64 << 10],
  [MESSAGE.welcome]: [2, 4 << 10],
  [MESSAGE.refuse]: [2, 4 << 10],
  [MESSAGE.fullBegin]: [2, 512 << 10],
  [MESSAGE.checkpointBegin]: [0, 0],
  [MESSAGE.pages]: [PAGES_PREFIX_BYTES, 2 << 20],
  [MESSAGE.device]: [DEVICE_PREFIX_BYTES + 1, DEVICE_PREFIX_BYTES + DEVICE_PIECE_BYTES],
  [MESSAGE.commit]: [COMMIT_BYTES, COMMIT_BYTES],
  [MESSAGE.abort]: [0, 0],
  [MESSAGE.ack]: [0, 0],
  [MESSAGE.beat]: [BEAT_BYTES, BEAT_BYTES],
  [MESSAGE.guestLost]: [2, 4 << 10],
  [MESSAGE.bye]: [2, 4 << 10],
  [MESSAGE.packed]: [PACKED_PREFIX_BYTES, 2 << 20],
  [MESSAGE.standby]: [2, 4 << 10],
  [MESSAGE.devicePacked]: [DEVICE_PACKED_PREFIX_BYTES + 4, 2 << 20],
};

/** An incarnation that is not known yet. */
export const NO_INCARNATION = '0'.repeat(32);

/** Whom a message is about. Incarnations and the VM id are 32 lower-case hex digits. */
export interface FrameAddress {
  generation: number;
  epoch: number;
  vmId: string;
  /** Incarnation of the primary. */
  sender: string;
  /** Incarnation of the backup. */
  receiver: string;
}

/** The pair that a checkpoint belongs to. */
export type PairIdentity = Pick<FrameAddress, 'generation' | 'sender' | 'receiver'>;

/** The main RAM block of most PCs. */
export const PC_RAM = 'pc.ram';

/** What a primary says first. */
export interface Hello {
  vm: string;
  /** Host id of the primary. */
  host: string;
  protocol: number;
  generation: number;
  /** The last epoch that the primary has sealed. */
  epoch: number;
  /** What the backup compares with its standby QEMU; opaque here. */
  guest: unknown;
  /** Name of the guest's main RAM block, at most 255 bytes; PC_RAM when the primary does not say it. */
  mainBlock: string;
  /** Bytes of that block. */
  mainBytes: number;
  /** Incarnation of the primary; in the header. */
  sender: string;
}

/** What the backup answers. */
export interface Welcome {
  host: string;
  /** Newest committed epoch of the pair `generation`, when the backup still holds one intact. */
  committed?: number;
  /** Generation of `committed`. */
  generation?: number;
  /** Most payload bytes of one checkpoint that the backup stages. */
  stagedBytesMax: number;
  /** The form of PACKED that the backup takes; undefined: none. */
  packing?: number;
  /** Incarnation of the backup; in the header. */
  receiver: string;
}

/** COMMIT: what the whole checkpoint was made of, its begin message included, itself not. */
export interface CommitRecord {
  messages: number;
  pages: number;
  payloadBytes: number;
  /** xxh64 over the digests of these messages, 8 bytes each, in order. */
  digest: bigint;
}

/** STANDBY: whether the backup could run the guest. After WELCOME it can, until it says otherwise. */
export interface StandbyWord {
  up: boolean;
  /** Why not, or what was wrong until now. */
  reason: string;
}

/** BEAT. Stamps are microseconds of the clock of whoever made them; 0 is none. */
export interface Beat {
  stampUs: number;
  echoUs: number;
  heldUs: number;
}
