/** Checks a stream against the generator, byte by byte. Pure: chunks in, counts out. */
import { Generator } from '../guest/generator.ts';

export class BulkStream {
  readonly #generator: Generator;
  readonly #expectedBytes: number;
  readonly #scratch = Buffer.alloc(65_536);
  receivedBytes = 0;
  /** Bytes that are not the generator's, or more than were asked for. */
  wrongBytes = 0;
  /** Offset of the first of them. */
  firstWrongAt: number | undefined;

  /** @param expectedBytes At most 2^53-1. */
  constructor(expectedBytes: number, seed: bigint) {
    this.#expectedBytes = expectedBytes;
    this.#generator = new Generator(seed);
  }

  get complete(): boolean {
    return this.receivedBytes >= this.#expectedBytes;
  }

  /** Takes the next bytes of the stream. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += this.#scratch.length) {
      const piece = chunk.subarray(at, at + this.#scratch.length);
      const wanted = Math.max(0, Math.min(piece.length, this.#expectedBytes - this.receivedBytes));
      const expected = this.#generator.fill(this.#scratch.subarray(0, wanted));
      if (!piece.equals(expected)) this.#differ(piece, expected);
      this.receivedBytes += piece.length;
    }
  }

  #differ(piece: Buffer, expected: Buffer): void {
    for (let i = 0; i < piece.length; i++) {
      if (piece[i] === expected[i]) continue;
      this.wrongBytes++;
      this.firstWrongAt ??= this.receivedBytes + i;
    }
  }
}
