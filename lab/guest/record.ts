/**
 * The guest's records and their chain, as seen from outside; records.c and history.h have the
 * formats.
 */
import { Fnv } from './fnv.ts';

export const RECORD_BYTES = 48;
const MAGIC = 0x434c5231;

/** One numbered output of the guest. */
export interface GuestRecord {
  /** The run of the program that sent it: 16 hex digits. */
  run: string;
  /** From 1. */
  sequence: number;
  /** 32 hex digits. */
  nonce: string;
  /** 16 hex digits. */
  chain: string;
}

/** The record in a datagram, or undefined when it is none. */
export function decodeRecord(datagram: Buffer): GuestRecord | undefined {
  if (datagram.length !== RECORD_BYTES || datagram.readUInt32BE(0) !== MAGIC) return undefined;
  const sequence = Number(datagram.readBigUInt64BE(16));
  if (datagram.readUInt32BE(4) !== 0 || !Number.isSafeInteger(sequence) || sequence < 1)
    return undefined;
  return {
    run: datagram.toString('hex', 8, 16),
    sequence,
    nonce: datagram.toString('hex', 24, 40),
    chain: datagram.toString('hex', 40, 48),
  };
}

/** The datagram of a record. */
export function encodeRecord(record: GuestRecord): Buffer {
  const datagram = Buffer.alloc(RECORD_BYTES);
  datagram.writeUInt32BE(MAGIC, 0);
  datagram.write(record.run, 8, 8, 'hex');
  datagram.writeBigUInt64BE(BigInt(record.sequence), 16);
  datagram.write(record.nonce, 24, 16, 'hex');
  datagram.write(record.chain, 40, 8, 'hex');
  return datagram;
}

const link = Buffer.alloc(32);

/**
 * chain(sequence) from chain(sequence-1) and the nonce; chain(0) is the run id.
 * @param before 16 hex digits.
 * @param nonce 32 hex digits.
 */
export function nextChain(before: string, sequence: number, nonce: string): string {
  link.write(before, 0, 8, 'hex');
  link.writeUInt32BE(Math.floor(sequence / 0x1_0000_0000), 8);
  link.writeUInt32BE(sequence % 0x1_0000_0000, 12);
  link.write(nonce, 16, 16, 'hex');
  return new Fnv().add(link).hex();
}
