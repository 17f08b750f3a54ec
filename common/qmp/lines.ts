/**
 * Newline-framed JSON, the framing of QMP (docs/interop/qmp-spec in QEMU's sources). Pure: chunks in, lines out.
 * Invariant: between calls what is held has no newline and at most `maxBytes` bytes, in one piece of memory of less
 * than twice that, however small the pieces were in which it came.
 */

export class LineTooLong extends Error {}

const NOTHING = Buffer.alloc(0);
/** Memory for the beginning of a line; more is taken as it comes. */
const FIRST_BYTES = 1024;
/** Memory beyond this is given back when its line is complete. */
const KEPT_BYTES = 64 << 10;

export class LineSplitter {
  readonly #maxBytes: number;
  #held: Buffer = NOTHING;
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
      const line = this.#line(chunk.subarray(start, end));
      start = end + 1;
      if (line.length > 0) yield line;
    }
    this.#hold(chunk.subarray(start));
  }

  /** What is held and `rest` as a line; nothing is held then. */
  #line(rest: Buffer): string {
    if (this.#bytes === 0) {
      this.#check(rest.length);
      return rest.toString('utf8').trim();
    }
    this.#hold(rest);
    const line = this.#held.toString('utf8', 0, this.#bytes).trim();
    this.#bytes = 0;
    if (this.#held.length > KEPT_BYTES) this.#held = NOTHING;
    return line;
  }

  #hold(piece: Buffer): void {
    if (piece.length === 0) return;
    const bytes = this.#bytes + piece.length;
    this.#check(bytes);
    if (bytes > this.#held.length) {
      const room = Math.max(bytes, 2 * this.#held.length, FIRST_BYTES);
      const larger = Buffer.allocUnsafeSlow(Math.min(room, this.#maxBytes));
      this.#held.copy(larger, 0, 0, this.#bytes);
      this.#held = larger;
    }
    piece.copy(this.#held, this.#bytes);
    this.#bytes = bytes;
  }

  #check(bytes: number): void {
    if (bytes <= this.#maxBytes) return;
    throw new LineTooLong(`a line is longer than ${this.#maxBytes} bytes`);
  }
}
