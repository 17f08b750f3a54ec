/**
 * The file of what was released: the main thread's side of a recording. Blocks come whole out of the ring and go whole
 * into the file, by writes that nobody waits for.
 *
 * | state    | meaning                                     | leaves by                                          |
 * |----------|---------------------------------------------|----------------------------------------------------|
 * | `on`     | what leaves is recorded                     | bound → `full`; a write fails → `failed`; `close`  |
 * | `full`   | the file has come to its bound              |                                                    |
 * | `failed` | it could not be opened, or a write failed   |                                                    |
 * | `closed` | the proxy has ended; the file has all       |                                                    |
 *
 * Whatever the end, what is recorded stays a whole file: blocks up to the last whole one, then what each tap has counted.
 * Nothing here ever ends the proxy.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { VERSION } from '../common/version.ts';
import { interfaceDescription, interfaceStatistics, sectionHeader, wholeBlocks } from './pcapng.ts';
import { RecordRing } from './record-ring.ts';
import type { RecordSetup } from './thread-messages.ts';

export interface RecordingOptions {
  file: string;
  /** The longest that the file may become. */
  bytesMax: number;
  /** Bytes of a frame that are recorded at the most. */
  snapBytes: number;
  /** The interfaces of the file, in the order of the datapath's taps. */
  taps: readonly { name: string; bridge: string }[];
  /** What waits to be written, at the most. Default 32 MiB. */
  ringBytes?: number;
}

export type RecordingState = 'on' | 'full' | 'failed' | 'closed';

export interface RecordingStatus {
  file: string;
  state: RecordingState;
  bytes: number;
  bytesMax: number;
}

/** Since the start of the program; all 0 without a recording. */
export interface RecordingCounters {
  /** Frames that are in the file. */
  framesRecorded: number;
  /** Frames that left and are not, nor will be. */
  framesUnrecorded: number;
  /** Bytes of the file. */
  bytesRecorded: number;
  /** 1 after a failure. */
  recordFailures: number;
}

/** At 1 GB/s two thirds of the ring are taken in this time. */
const PERIOD_MS = 20;
const RING_BYTES = 32 << 20;
/** Written at once, at the most. More than the longest block. */
const CHUNK_BYTES = 1 << 20;
const COMMENT =
  'What left towards the bridge, in order, with the time. Comments of packets name their epoch. ' +
  'Checksums may be left to a network card.';

export class Recording {
  /** For the datapath. When the recording has ended, it only counts. */
  readonly setup: RecordSetup;
  readonly #options: RecordingOptions;
  readonly #log: Logger;
  readonly #ring: RecordRing;
  readonly #written: number[];
  #handle: FileHandle | undefined;
  #state: RecordingState = 'on';
  /** The end of the last whole block. */
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;

  private constructor(options: RecordingOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#written = options.taps.map(() => 0);
    const memory = RecordRing.allocate(options.ringBytes ?? RING_BYTES);
    this.#ring = new RecordRing(memory);
    this.setup = { memory, snapBytes: options.snapBytes };
  }

  /**
   * Begins a recording: a new file of mode 0600, or one that is empty and ours. What leaves may be recorded at once; the
   * file is opened meanwhile. One that cannot be had is said in the log, and is the state.
   */
  static start(options: RecordingOptions, log: Logger): Recording {
    const recording = new Recording(options, log);
    void recording.#work(() => recording.#begin());
    return recording;
  }

  get status(): RecordingStatus {
    const { file, bytesMax } = this.#options;
    return { file, state: this.#state, bytes: this.#bytes, bytesMax };
  }

  get counters(): RecordingCounters {
    const recorded = sum(this.#written);
    const missed = this.#state === 'on' ? sum(this.#ring.missed) : sum(this.#ring.sent) - recorded;
    return {
      framesRecorded: recorded,
      framesUnrecorded: missed,
      bytesRecorded: this.#bytes,
      recordFailures: this.#state === 'failed' ? 1 : 0,
    };
  }

  /** Writes all that is still to be written and closes the file. After the datapath has ended, else something is missing. */
  async close(): Promise<void> {
    await this.#working;
    clearInterval(this.#timer);
    while (this.#state === 'on' && this.#ring.pending > 0)
      await this.#work(() => this.#writeRing());
    if (this.#state === 'on') await this.#end('closed', this.#bytes);
  }

  async #begin(): Promise<void> {
    const { file, snapBytes, taps } = this.#options;
    try {
      this.#handle = await openEmpty(file);
      const head = [sectionHeader(`curling-proxy ${VERSION}`, COMMENT)];
      for (const { name, bridge } of taps)
        head.push(interfaceDescription(name, `released to ${bridge}`, snapBytes));
      const bytes = Buffer.concat(head);
      await writeAll(this.#handle, bytes, 0, () => undefined);
      this.#bytes = bytes.length;
    } catch (error) {
      await this.#fail(error, 0);
      return;
    }
    this.#timer = setInterval(() => void this.#work(() => this.#writeRing()), PERIOD_MS);
    this.#log.info({ file }, 'what is released is recorded');
  }

  /** Does one thing after the other: what comes while something is under way is left to the next period. */
  #work(what: () => Promise<void>): Promise<void> {
    this.#working ??= what().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  /** Writes at least what is there. As long as much is left it goes on; a little comes cheaper with what follows. */
  async #writeRing(): Promise<void> {
    for (let least = 1; this.#state === 'on' && this.#ring.pending >= least; least = CHUNK_BYTES) {
      const room = this.#options.bytesMax - this.#bytes - this.#statistics().length;
      const chunk = this.#ring.read(Math.min(room, CHUNK_BYTES));
      if (chunk.length === 0) {
        await this.#end('full', this.#bytes);
        this.#log.warn(this.#facts(), 'the recording has come to its bound and has ended');
        return;
      }
      await this.#writeChunk(chunk);
    }
  }

  async #writeChunk(chunk: Buffer): Promise<void> {
    let written = 0;
    try {
      await writeAll(this.#handle!, chunk, this.#bytes, bytes => {
        written = bytes;
      });
    } catch (error) {
      // What the last whole blocks occupy is on the disk: a full one has room for the statistics in their place.
      const room = written - this.#statistics().length;
      const kept = wholeBlocks(chunk, room, this.#written);
      await this.#fail(error, this.#bytes + kept);
      return;
    }
    this.#bytes += wholeBlocks(chunk, written, this.#written);
    this.#ring.giveBack(chunk.length);
  }

  async #fail(error: unknown, at: number): Promise<void> {
    await this.#end('failed', at);
    const facts = { ...this.#facts(), error: messageOf(error) };
    this.#log.error(facts, 'the recording has failed and has ended; the proxy goes on without');
  }

  /** Ends the file behind its first `at` bytes with what each tap has counted. */
  async #end(state: RecordingState, at: number): Promise<void> {
    this.#ring.end();
    this.#state = state;
    clearInterval(this.#timer);
    const handle = this.#handle;
    this.#handle = undefined;
    if (!handle) return;
    this.#bytes = at;
    try {
      const statistics = at > 0 ? this.#statistics() : Buffer.alloc(0);
      await writeAll(handle, statistics, at, () => undefined);
      this.#bytes += statistics.length;
    } catch {
      // The blocks are whole without them.
    }
    await handle.truncate(this.#bytes).catch(() => undefined);
    await handle.close().catch(() => undefined);
  }

  #statistics(): Buffer {
    const now = Date.now();
    const [seconds, nanoseconds] = [Math.floor(now / 1000), (now % 1000) * 1_000_000];
    const blocks = this.#written.map((recorded, interfaceId) => {
      const counts = { interfaceId, frames: this.#ring.sent[interfaceId]!, recorded };
      return interfaceStatistics(counts, seconds, nanoseconds);
    });
    return Buffer.concat(blocks);
  }

  #facts(): { file: string; framesRecorded: number } {
    return { file: this.#options.file, framesRecorded: sum(this.#written) };
  }
}

/** @throws Error when there is something else, or it cannot be opened. */
async function openEmpty(file: string): Promise<FileHandle> {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  // Not blocking: a fifo must not keep the proxy from starting.
  const handle = await open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Error(`${file} is not a regular file`);
    if (stat.size > 0) throw new Error(`${file} is not empty; name another file, or remove it`);
    await handle.chmod(0o600);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** @param done Told after every write how much of `bytes` is in the file. */
async function writeAll(
  handle: FileHandle,
  bytes: Buffer,
  position: number,
  done: (written: number) => void,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
    done(at);
  }
}

function sum(counts: ArrayLike<number>): number {
  return Array.from(counts).reduce((total, count) => total + count, 0);
}
