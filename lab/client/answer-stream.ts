/**
 * What comes back on a control connection: JSON lines, and after some of them a block of bytes.
 * Pure: chunks in, the answers to the commands in their order out.
 *
 * Invariant: the buffer holds less than one whole answer.
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../../common/errors.ts';
import type { Facts } from './worker.ts';

export interface Answer {
  facts: Facts;
  /** The nonces behind a history answer. */
  block: Buffer;
}

const LINE_BYTES_MAX = 8192;
/** 2^18 nonces of 16 bytes. */
const BLOCK_BYTES_MAX = 4 << 20;
const NONCE_BYTES = 16;

export class AnswerStream {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Facts of the answer whose block is awaited. */
  #facts: Facts | undefined;
  #wantedBytes = 0;

  /**
   * The answers that `chunk` completes.
   * @throws CurlingError CURLING_MESSAGE for what is not an answer; the connection is of no use
   *   then.
   */
  push(chunk: Buffer): Answer[] {
    const answers: Answer[] = [];
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (let answer = this.#take(); answer; answer = this.#take()) answers.push(answer);
    return answers;
  }

  #take(): Answer | undefined {
    if (!this.#facts && !this.#takeLine()) return undefined;
    if (this.#bytes < this.#wantedBytes) return undefined;
    const block = this.#cut(this.#wantedBytes);
    const facts = this.#facts;
    assert(facts);
    this.#facts = undefined;
    return { facts, block };
  }

  #takeLine(): boolean {
    const bytes = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [bytes];
    const end = bytes.indexOf(10);
    if (end < 0 && bytes.length <= LINE_BYTES_MAX) return false;
    if (end < 0 || end > LINE_BYTES_MAX)
      throw new CurlingError(
        'CURLING_MESSAGE',
        `the guest's answer is over ${LINE_BYTES_MAX} bytes`,
      );
    this.#facts = parse(bytes.toString('utf8', 0, end));
    this.#cut(end + 1);
    const count = 'chain' in this.#facts ? this.#facts.count : 0;
    this.#wantedBytes = typeof count === 'number' ? count * NONCE_BYTES : Number.NaN;
    if (!(this.#wantedBytes >= 0 && this.#wantedBytes <= BLOCK_BYTES_MAX))
      throw new CurlingError('CURLING_MESSAGE', `the guest announces ${count} nonces`);
    return true;
  }

  #cut(length: number): Buffer {
    const bytes = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [bytes.subarray(length)];
    this.#bytes -= length;
    return bytes.subarray(0, length);
  }
}

function parse(line: string): Facts {
  try {
    const facts: unknown = JSON.parse(line);
    if (typeof facts === 'object' && facts !== null) return facts as Facts;
  } catch {}
  throw new CurlingError('CURLING_MESSAGE', `the guest answers ${JSON.stringify(line)}`);
}
