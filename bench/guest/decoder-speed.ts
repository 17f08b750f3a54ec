/**
 * How fast the decoder alone is, as a process of its own: `decoder-speed --way decode|copy --ms MS` ends with one line
 * of JSON, `{"bytes":…,"ms":…}`. Both ways take the same bytes in pieces as large as a socket gives them, and put them
 * into a buffer as large as a chunk of staging.
 */

import { CurlingError } from '../../common/errors.ts';
import { requiredText, wholeNumber } from '../../common/options.ts';
import { runProgram } from '../../common/program.ts';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { StreamDecoder } from '../../coordinator/qemu/stream-decoder.ts';
import { ranDirectly } from '../../lab/client/worker.ts';
import { Generator } from '../../lab/guest/generator.ts';
import { streamCheckpoint, streamHead } from './colo-stream.ts';

/** 8 MiB: a large checkpoint, more than most processors' caches hold near. */
const PAGES = 2048;
const CHUNK_PAGES = 64;
/** What Node reads of a socket at a time. */
const PIECE_BYTES = 64 << 10;
const WARM_UP_MS = 300;

/** Takes a whole checkpoint. */
type Take = (checkpoint: Buffer) => void;

/** Decodes into staging, which takes its chunks back at once. Counts what it was sent. */
export function decoding(): {
  take: Take;
  /** Takes bytes of checkpoints as they come. */
  push: (bytes: Buffer) => void;
  staging: Staging;
  checkpoints(): number;
} {
  let checkpoints = 0;
  const staging: Staging = new Staging({
    poolBytes: 0,
    chunkPages: CHUNK_PAGES,
    onChunk: chunk => staging.recycle(chunk),
  });
  const decoder = new StreamDecoder(staging, {
    layout: () => {},
    firstPass: () => {},
    request: () => {},
    stopped: () => {},
    checkpoint: () => {
      staging.flush();
      checkpoints++;
    },
  });
  decoder.push(streamHead(PAGES));
  const push = (bytes: Buffer) => decoder.push(bytes);
  const take = (checkpoint: Buffer) => inPieces(checkpoint, push);
  return { take, push, staging, checkpoints: () => checkpoints };
}

function copying(): Take {
  const target = Buffer.alloc(CHUNK_PAGES * PAGE_BYTES);
  let at = 0;
  return checkpoint =>
    inPieces(checkpoint, piece => {
      if (at + piece.length > target.length) at = 0;
      piece.copy(target, at);
      at += piece.length;
    });
}

function inPieces(bytes: Buffer, take: (piece: Buffer) => void): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) take(bytes.subarray(at, at + PIECE_BYTES));
}

/** A checkpoint whose pages differ. */
export function randomCheckpoint(): Buffer {
  const generator = new Generator(1n);
  const noise = generator.fill(Buffer.alloc(PAGE_BYTES));
  return streamCheckpoint(PAGES, (page, number) => {
    noise.copy(page);
    page.writeUInt32BE(number);
  });
}

function measure(take: Take, durationMs: number): { bytes: number; ms: number } {
  const checkpoint = randomCheckpoint();
  const run = (ms: number) => {
    const startMs = performance.now();
    let bytes = 0;
    while (performance.now() - startMs < ms) {
      take(checkpoint);
      bytes += checkpoint.length;
    }
    return { bytes, ms: performance.now() - startMs };
  };
  run(WARM_UP_MS);
  return run(durationMs);
}

if (ranDirectly(import.meta.url)) {
  await runProgram(
    {
      program: 'bench decoder-speed',
      usage: '--way decode|copy --ms MS',
      summary: 'Decodes a stream in memory, or copies it.',
      options: {
        way: { type: 'string', value: 'WAY', help: 'decode or copy' },
        ms: { type: 'string', value: 'MS', help: 'how long' },
      },
    },
    async ({ values }) => {
      const way = requiredText('way', values.way);
      if (way !== 'decode' && way !== 'copy')
        throw new CurlingError('CURLING_USAGE', `--way: expected decode or copy, got ${way}`);
      const take = way === 'decode' ? decoding().take : copying();
      const ms = wholeNumber('ms', values.ms, 1, 60_000);
      process.stdout.write(`${JSON.stringify(measure(take, ms))}\n`);
      return 0;
    },
  );
}
