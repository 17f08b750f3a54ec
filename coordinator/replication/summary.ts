/**
 * The running sum of a checkpoint's messages; COMMIT carries the sender's, the receiver compares
 * its own.
 */
import { Digest } from './digest.ts';
import type { CommitRecord } from './types.ts';

export class CheckpointSummary {
  messages = 0;
  pages = 0;
  payloadBytes = 0;
  readonly #digest = new Digest();
  readonly #bytes = Buffer.alloc(8);

  /** Counts one message by its digest, its payload and the pages in it. */
  add(digest: bigint, payloadBytes: number, pages = 0): void {
    this.messages++;
    this.pages += pages;
    this.payloadBytes += payloadBytes;
    this.#bytes.writeBigUInt64BE(digest);
    this.#digest.update(this.#bytes);
  }

  record(): CommitRecord {
    const { messages, pages, payloadBytes } = this;
    return { messages, pages, payloadBytes, digest: this.#digest.value() };
  }
}
