/** A decoder whose events and pages are written down. */
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import type { PageSink } from '../../coordinator/qemu/page-sink.ts';
import { StreamDecoder, type StreamDecoderOptions } from '../../coordinator/qemu/stream-decoder.ts';
import { dataLine, fillLine, type Trace } from './naive-stream.ts';

export interface Recording {
  decoder: StreamDecoder;
  trace: Trace;
}

export function recording(options: StreamDecoderOptions = {}): Recording {
  const trace: Trace = [];
  const sink = recordingSink(trace);
  const decoder = new StreamDecoder(
    sink,
    {
      layout: ({ machine, subsections, ram, blocks, mainBlock }) => {
        const list = blocks.map(block => `${block.name}:${block.bytes}`);
        trace.push(
          `layout ${machine} ${ram.sectionId} ${subsections.toString('hex')} ${list} ${mainBlock}`,
        );
      },
      firstPass: device => trace.push(`firstPass ${device.toString('hex')}`),
      request: () => trace.push('request'),
      stopped: () => trace.push('stopped'),
      checkpoint: device => trace.push(`checkpoint ${device.toString('hex')}`),
    },
    options,
  );
  return { decoder, trace };
}

/** Writes each page to the trace. */
export function recordingSink(trace: Trace): PageSink {
  const page = Buffer.alloc(PAGE_BYTES);
  let current: [block: number, page: number] = [0, 0];
  return {
    target: { buffer: page, offset: 0 },
    dataPage(block: number, number: number) {
      current = [block, number];
      page.fill(0xee);
    },
    pageDone() {
      trace.push(dataLine(...current, page));
    },
    fillPage(block: number, number: number, fill: number) {
      trace.push(fillLine(block, number, fill));
    },
  };
}

/** Feeds pieces of at most `size` bytes. A buffer is used again as soon as the decoder has seen it. */
export function feed(decoder: Pick<StreamDecoder, 'push'>, bytes: Buffer, size: number): void {
  const chunk = Buffer.alloc(Math.min(size, bytes.length));
  for (let at = 0; at < bytes.length; at += size) {
    const count = bytes.copy(chunk, 0, at, at + size);
    decoder.push(chunk.subarray(0, count));
    chunk.fill(0xdd);
  }
}
