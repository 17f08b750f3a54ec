/** Curling's own stream: checkpoints without answers, device states without lengths. */
import {
  curlingRecording,
  type NaiveCurling,
  naiveCheckpoints,
  naiveHead,
  SIGNATURE,
} from '../../curling/naive-curling.ts';
import { type Attempt, codeOf, must, piecesOf, type Target } from '../target.ts';

const STREAM: NaiveCurling = {
  sectionId: 3,
  blocks: [
    { name: 'pc.ram', pages: 2 },
    { name: 'vga', pages: 1 },
  ],
  checkpoints: [
    {
      sections: [[{ block: 0, page: 0, content: 1 }], [{ block: 1, page: 0, content: 9 }], []],
      device: Buffer.concat([Buffer.from([4, 0]), SIGNATURE]),
    },
    { sections: [[{ block: 0, page: 1, content: 2 }], []], device: Buffer.from([4]) },
    { sections: [[], []], device: Buffer.from([4]) },
  ],
};
const CHECKPOINTS = naiveCheckpoints(STREAM);
const HEAD = naiveHead(STREAM);
const NEXT = Buffer.concat([SIGNATURE, Buffer.from('QEFT')]);
const LIMITS = { deviceBytesMax: 4096 };

export const CURLING: Target = {
  name: "Curling's own stream",
  seeds: [
    Buffer.concat(CHECKPOINTS),
    CHECKPOINTS[0]!,
    Buffer.concat([CHECKPOINTS[1]!, CHECKPOINTS[2]!, HEAD]),
  ],
  words: [
    SIGNATURE,
    HEAD,
    Buffer.concat([Buffer.from([0]), SIGNATURE, HEAD]),
    Buffer.from('0000000000000010', 'hex'),
    Buffer.from('QEFT'),
  ],
  allocatedMax: bytes => 8 * bytes + (4 << 20),
  run(attempt: Attempt) {
    const { decoder, trace } = curlingRecording(LIMITS);
    let copy = Buffer.alloc(0);
    try {
      for (const piece of piecesOf(attempt)) {
        // The bytes are the decoder's for the time of the call alone.
        copy = Buffer.from(piece);
        decoder.push(copy);
        copy.fill(0xdd);
      }
    } catch (error) {
      const code = codeOf(error);
      must(code === 'CURLING_QEMU_STREAM', `${code} is not of the stream`);
      must(again(() => decoder.push(Buffer.alloc(9))) === error, 'a refused stream stays refused');
      return whole(trace, code);
    }
    const ends = trace.filter(line => line.startsWith('checkpoint')).length;
    const places = countOf(attempt.input, NEXT);
    must(ends <= places, `${ends} whole checkpoints of ${places} that could be`);
    return whole(trace, 'waits for more');
  },
};

function countOf(bytes: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) count++;
  return count;
}

function again(work: () => void): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A bound may be met by a few pages sooner or later, as the pieces are: what counts is what has become whole. */
function whole(trace: readonly string[], end: string): string {
  const last = trace.findLastIndex(line => /^(layout|checkpoint)/.test(line));
  return [...trace.slice(0, last + 1), end].join('\n');
}
