import test from 'ava';
import { streamCheckpoint, streamHead } from '../../bench/guest/colo-stream.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { StreamDecoder } from '../../coordinator/qemu/stream-decoder.ts';
import { allocatedBy } from '../bytes/allocation.ts';

const PIECE_BYTES = 10_000;

test('what a checkpoint takes of memory does not depend on its pages: they go where chunks were before', t => {
  const staging: Staging = new Staging({
    chunkPages: 64,
    onChunk: chunk => staging.recycle(chunk),
  });
  let checkpoints = 0;
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
  decoder.push(streamHead(3000));
  const bytesOf = (pages: number) => {
    const checkpoint = streamCheckpoint(pages, (page, number) => page.writeUInt32BE(number));
    return allocatedBy(() => {
      for (let at = 0; at < checkpoint.length; at += PIECE_BYTES)
        decoder.push(checkpoint.subarray(at, at + PIECE_BYTES));
    }).bytes;
  };
  const few = bytesOf(30);
  t.is(bytesOf(3000), few);
  t.is(checkpoints, 2);
  t.is(staging.counters.dataPages, 3030);
});
