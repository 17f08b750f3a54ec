/**
 * The records of a `ram` section: pages, up to the end-of-section mark. Written by hand as a state machine, because
 * every page of every checkpoint passes here; the rest of the stream is rare and reads better as a generator
 * (stream-decoder.ts).
 *
 *   record   u64 header: flags in the low 12 bits, address of the page in its block above
 *            block name (u8 length, bytes) unless CONTINUE
 *            PAGE: 4096 bytes · ZERO: u8 fill
 *
 * CONTINUE means the block of the page before, also across sections and checkpoints.
 */
import { PAGE_BYTES, type RamBlock } from '../checkpoint/layout.ts';
import type { FieldReader } from './field-reader.ts';
import type { PageSink } from './page-sink.ts';
import { hex, RAM_FLAG, streamError } from './stream-format.ts';

const STATE = { header: 0, nameLength: 1, name: 2, fill: 3, page: 4 } as const;
type State = (typeof STATE)[keyof typeof STATE];

export class RamPages {
  readonly #sink: PageSink;
  readonly #blocks: readonly RamBlock[];
  readonly #blockOf: ReadonlyMap<string, number>;
  #state: State = STATE.header;
  #flags = 0;
  #page = 0;
  #nameBytes = 0;
  /** The block of the page before; -1 before the first. */
  #block = -1;
  #moved = 0;

  constructor(sink: PageSink, blocks: readonly RamBlock[]) {
    this.#sink = sink;
    this.#blocks = blocks;
    this.#blockOf = new Map(blocks.map((block, index) => [block.name, index]));
  }

  /**
   * Takes records until the section ends; true at its end, false when the chunk is used up.
   * @throws CurlingError CURLING_QEMU_STREAM
   */
  consume(reader: FieldReader): boolean {
    for (;;) {
      switch (this.#state) {
        case STATE.header:
          if (!reader.take(8)) return false;
          if (this.#header(reader)) return true;
          break;
        case STATE.nameLength:
          if (!reader.take(1)) return false;
          this.#nameBytes = reader.u8();
          this.#state = STATE.name;
          break;
        case STATE.name:
          if (!reader.take(this.#nameBytes)) return false;
          this.#named(reader);
          break;
        case STATE.fill:
          if (!reader.take(1)) return false;
          this.#sink.fillPage(this.#block, this.#page, reader.u8());
          this.#state = STATE.header;
          break;
        case STATE.page:
          if (!this.#movePage(reader)) return false;
          break;
      }
    }
  }

  /** Reads a header; true when it ends the section. */
  #header(reader: FieldReader): boolean {
    const high = reader.u32();
    const low = reader.u32();
    const flags = low & (PAGE_BYTES - 1);
    if (flags === RAM_FLAG.endOfSection) return true;
    if (flags === RAM_FLAG.multifdFlush) return false;
    const kind = flags & ~RAM_FLAG.continue;
    if (kind !== RAM_FLAG.page && kind !== RAM_FLAG.zero) throw this.#unknownRecord(flags, reader);
    this.#flags = flags;
    this.#page = high * 2 ** 20 + (low >>> 12);
    if (flags & RAM_FLAG.continue) this.#begin(reader);
    else this.#state = STATE.nameLength;
    return false;
  }

  #named(reader: FieldReader): void {
    const name = reader.text(this.#nameBytes);
    const block = this.#blockOf.get(name);
    if (block === undefined)
      throw streamError('a block of the list', JSON.stringify(name), reader.position);
    this.#block = block;
    this.#begin(reader);
  }

  /** The block is known: what follows is the page's content. */
  #begin(reader: FieldReader): void {
    const block = this.#blocks[this.#block];
    if (!block) throw streamError("a block's name", 'CONTINUE before any page', reader.position);
    if (this.#page >= block.bytes / PAGE_BYTES) {
      const expected = `a page of ${block.name} (${block.bytes} bytes)`;
      throw streamError(expected, `page ${this.#page}`, reader.position);
    }
    if (this.#flags & RAM_FLAG.zero) {
      this.#state = STATE.fill;
      return;
    }
    this.#sink.dataPage(this.#block, this.#page);
    this.#moved = 0;
    this.#state = STATE.page;
  }

  /** Moves what the chunk has of a page; true when the page is whole. */
  #movePage(reader: FieldReader): boolean {
    const { buffer, offset } = this.#sink.target;
    this.#moved += reader.move(buffer, offset + this.#moved, PAGE_BYTES - this.#moved);
    if (this.#moved < PAGE_BYTES) return false;
    this.#sink.pageDone();
    this.#state = STATE.header;
    return true;
  }

  #unknownRecord(flags: number, reader: FieldReader): Error {
    const got =
      flags & RAM_FLAG.xbzrle
        ? `an XBZRLE delta (flags ${hex(flags)}; switch the capability xbzrle off)`
        : `flags ${hex(flags)}`;
    return streamError('a page (PAGE or ZERO) or the end of the section', got, reader.position);
  }
}
