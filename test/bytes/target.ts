/**
 * What is fuzzed: one parser, or one session, behind one function. Its oracle is inside: it throws for whatever must not
 * happen, and returns in words what did.
 */
import { CurlingError, ERROR_CODES } from '../../common/errors.ts';

/** One input, and how it is given. */
export interface Attempt {
  input: Buffer;
  /** Sizes of the pieces in which it comes, in turn; the whole at once when there is none. */
  pieces: readonly number[];
  /** Whether checksums were set right after the input was changed, so that a change may be accepted. */
  mended: boolean;
}

export interface Target {
  name: string;
  /** Valid inputs. */
  seeds: readonly Buffer[];
  /** Words of the grammar, to be put anywhere. */
  words?: readonly Buffer[];
  /**
   * Feeds the input and says what came of it: what was accepted, and then how it ended. The same for all pieces.
   * Throws, and not a CurlingError, for whatever must not happen.
   */
  run(attempt: Attempt): string | Promise<string>;
  /** The input with its checksums set right. */
  mend?(input: Buffer): Buffer;
  /** Before the first input, where a server or files are needed. */
  open?(): Promise<void>;
  /** After the last one, also when one failed. */
  close?(): Promise<void>;
  /** Whether what comes of the input may depend on how busy the machine is: nothing is compared then. */
  racing?: boolean;
  /** Most bytes of buffers that may be asked for while `bytes` of input are taken. */
  allocatedMax(bytes: number): number;
}

/** The pieces of an input, in order. */
export function* piecesOf({ input, pieces }: Attempt): Generator<Buffer> {
  if (pieces.length === 0) return yield input;
  for (let at = 0, index = 0; at < input.length; index++) {
    const size = pieces[index % pieces.length]!;
    yield input.subarray(at, at + size);
    at += size;
  }
}

/** The code of a documented error; throws anything else again, which ends the run. */
export function codeOf(error: unknown): string {
  if (error instanceof CurlingError && Object.hasOwn(ERROR_CODES, error.code)) {
    if (error.code !== 'CURLING_INTERNAL') return error.code;
  }
  throw error;
}

/** What must hold, whatever the input is. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`must hold: ${what}`);
}
