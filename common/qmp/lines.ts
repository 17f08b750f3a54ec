/**
 * Newline-framed JSON, the framing of QMP (docs/interop/qmp-spec in QEMU's sources). Pure: chunks in, lines out.
 * Invariant: between calls the buffered text holds no newline and at most `maxBytes` bytes.
 */

export class LineTooLong extends Error {}

export class LineSplitter {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** @param maxBytes The longest line that is accepted, without its newline. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The complete lines that `chunk` finishes, without newlines and carriage returns; empty lines are left out.
   * @throws LineTooLong as soon as a line exceeds the limit; the splitter must not be used afterwards.
   */
  *push(chunk: Buffer): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#add(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(this.#chunks, this.#bytes).toString('utf8').trim();
      this.#chunks = [];
      this.#bytes = 0;
      if (line.length > 0) yield line;
    }
    this.#add(chunk.subarray(start));
  }

  #add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes)
      throw new LineTooLong(`a line is longer than ${this.#maxBytes} bytes`);
    this.#chunks.push(piece);
  }
}
