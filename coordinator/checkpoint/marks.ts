/**
 * Two epochs that must survive a crash of the process: the last one that was about to be
 * acknowledged, and the last one whose pages were about to be applied. A restart that finds an
 * older checkpoint than either has lost something.
 *
 *   at 0 and 32: acked, at 64 and 96: applying; even epochs at the first, odd at the second
 *   record: u64 epoch, u64 generation, u64 zero, u64 xxh64 of these 24 bytes
 *
 * Two records each, so that a write which is cut short leaves the one before.
 */
import fs from 'node:fs';
import { digestOf } from '../replication/digest.ts';
import type { StoreIo } from './store-io.ts';

const RECORD_BYTES = 32;
const FILE_BYTES = 4 * RECORD_BYTES;

export type Mark = 'acked' | 'applying';

const BASE: Record<Mark, number> = { acked: 0, applying: 2 * RECORD_BYTES };

export class Marks {
  readonly #io: StoreIo;
  readonly #fd: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);

  constructor(io: StoreIo, path: string) {
    this.#io = io;
    this.#fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  }

  clear(): void {
    this.#io.write(this.#fd, [Buffer.alloc(FILE_BYTES)], 0);
  }

  set(mark: Mark, generation: number, epoch: number): void {
    const record = this.#record;
    record.writeBigUInt64BE(BigInt(epoch), 0);
    record.writeBigUInt64BE(BigInt(generation), 8);
    record.writeBigUInt64BE(digestOf(record.subarray(0, 24)), 24);
    this.#io.write(this.#fd, [record], BASE[mark] + (epoch % 2) * RECORD_BYTES);
  }

  /** The newest epoch of the mark in this generation; undefined when it was never set. */
  get(mark: Mark, generation: number): number | undefined {
    let newest: number | undefined;
    const record = Buffer.alloc(RECORD_BYTES);
    for (const parity of [0, 1]) {
      const position = BASE[mark] + parity * RECORD_BYTES;
      const length = fs.readSync(this.#fd, record, 0, RECORD_BYTES, position);
      if (length < RECORD_BYTES) continue;
      if (record.readBigUInt64BE(24) !== digestOf(record.subarray(0, 24))) continue;
      if (record.readBigUInt64BE(8) !== BigInt(generation)) continue;
      const epoch = Number(record.readBigUInt64BE(0));
      if (newest === undefined || epoch > newest) newest = epoch;
    }
    return newest;
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}
