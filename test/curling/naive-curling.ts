/** Writes what a QEMU with the patches of Curling would send, the plainest way: the oracle for the decoder. */
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { CurlingDecoder, type CurlingDecoderOptions } from '../../coordinator/curling/decoder.ts';
import { dataLine, fillLine, ident, type Trace, u8, u32, u64 } from '../qemu/naive-stream.ts';
import { recordingSink } from '../qemu/recording.ts';

export interface NaiveCurlingPage {
  block: number;
  page: number;
  /** The page's bytes, or the one byte that fills it. */
  content: Buffer | number;
}

export interface NaiveCurling {
  sectionId: number;
  blocks: { name: string; pages: number }[];
  checkpoints: {
    /** Section by section: the first in START, the last in END. */
    sections: NaiveCurlingPage[][];
    /** FULL sections, without the end mark. */
    device: Buffer;
  }[];
}

export const SIGNATURE = Buffer.from('00000000feedcafe', 'hex');

/** Header and START of `ram` with its blocks. */
export function naiveHead({ sectionId, blocks }: Pick<NaiveCurling, 'sectionId' | 'blocks'>) {
  const totalPages = blocks.reduce((sum, block) => sum + block.pages, 0);
  return Buffer.concat([
    Buffer.from('QEFT'),
    u32(3),
    Buffer.concat([u8(1), u32(sectionId), ident('ram'), u32(0), u32(4)]),
    u64(totalPages * PAGE_BYTES + 4),
    ...blocks.map(block => Buffer.concat([ident(block.name), u64(block.pages * PAGE_BYTES)])),
  ]);
}

/** The checkpoints, one by one. */
export function naiveCheckpoints(stream: NaiveCurling): Buffer[] {
  let block = -1;
  const records = (pages: NaiveCurlingPage[]) =>
    Buffer.concat([
      ...pages.map(page => {
        const same = page.block === block;
        block = page.block;
        const fill = typeof page.content === 'number' ? page.content : undefined;
        return Buffer.concat([
          u64(page.page * PAGE_BYTES + (fill === undefined ? 0x08 : 0x02) + (same ? 0x20 : 0)),
          same ? Buffer.alloc(0) : ident(stream.blocks[block]!.name),
          fill === undefined ? (page.content as Buffer) : u8(fill),
        ]);
      }),
      u64(0x10),
    ]);
  return stream.checkpoints.map(({ sections, device }) => {
    const [first = [], ...rest] = sections;
    const last = rest.pop() ?? [];
    const section = (type: number, pages: NaiveCurlingPage[]) =>
      Buffer.concat([u8(type), u32(stream.sectionId), records(pages)]);
    return Buffer.concat([
      naiveHead(stream),
      records(first),
      ...rest.map(pages => section(2, pages)),
      section(3, last),
      device,
      u8(0),
      SIGNATURE,
    ]);
  });
}

/** What the decoder must tell of the whole stream: the last checkpoint has no successor, so it is not whole. */
export function naiveCurlingTrace(stream: NaiveCurling): Trace {
  const list = stream.blocks.map(block => `${block.name}:${block.pages * PAGE_BYTES}`);
  const last = stream.checkpoints.length - 1;
  return [
    `layout ${stream.sectionId} ${list}`,
    ...stream.checkpoints.flatMap(({ sections, device }, index) => [
      ...sections.flat().map(line),
      ...(index < last ? [`checkpoint ${device.toString('hex')}00`] : []),
    ]),
  ];
}

function line({ block, page, content }: NaiveCurlingPage): string {
  return typeof content === 'number'
    ? fillLine(block, page, content)
    : dataLine(block, page, content);
}

/** A decoder whose events and pages are written down. */
export function curlingRecording(options: CurlingDecoderOptions = {}) {
  const trace: Trace = [];
  const decoder = new CurlingDecoder(
    recordingSink(trace),
    {
      layout: ({ ram, blocks }) => {
        const list = blocks.map(block => `${block.name}:${block.bytes}`);
        trace.push(`layout ${ram.sectionId} ${list}`);
      },
      checkpoint: device => trace.push(`checkpoint ${device.toString('hex')}`),
    },
    options,
  );
  return { decoder, trace };
}
