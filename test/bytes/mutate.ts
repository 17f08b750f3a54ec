/** Changes to inputs: every one of a kind, or one by chance. Pure. */
import type { Random } from '../store/model.ts';

/** The input cut off at every byte. */
export function* truncations(input: Buffer): Generator<Buffer> {
  for (let at = 0; at < input.length; at++) yield input.subarray(0, at);
}

/** The input with each bit of [from, to) turned, one at a time. */
export function* bitFlips(input: Buffer, from = 0, to = input.length): Generator<Buffer> {
  for (let bit = from * 8; bit < Math.min(to, input.length) * 8; bit++) {
    const flipped = Buffer.from(input);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    yield flipped;
  }
}

/** A number in an input, big-endian. */
export interface Field {
  at: number;
  bytes: 1 | 2 | 4 | 8;
}

/** The input with a length or count that is 0, off by one, its largest, or huge. */
export function* lies(input: Buffer, { at, bytes }: Field, max?: number): Generator<Buffer> {
  const bits = BigInt(bytes * 8);
  const truth = BigInt(`0x${input.toString('hex', at, at + bytes)}`);
  const bound = max === undefined ? truth : BigInt(max);
  const told = [0n, 1n, truth - 1n, truth + 1n, bound - 1n, bound, bound + 1n];
  const huge = [1n << (bits - 1n), (1n << (bits - 1n)) - 1n, (1n << bits) - 1n];
  for (const value of new Set([...told, ...huge])) {
    if (value < 0n || value >= 1n << bits || value === truth) continue;
    const lie = Buffer.from(input);
    lie.write(value.toString(16).padStart(bytes * 2, '0'), at, 'hex');
    yield lie;
  }
}

/** Values at which parsers go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
/** No input grows beyond this. */
const INPUT_BYTES_MAX = 64 << 10;
const STEPS_MAX = 4;

type Change = (input: Buffer, context: Context) => Buffer;

interface Context {
  random: Random;
  corpus: readonly Buffer[];
  words: readonly Buffer[];
}

/** A changed input: one of the corpus after one to four changes. */
export function mutant(
  random: Random,
  corpus: readonly Buffer[],
  words: readonly Buffer[] = [],
): Buffer {
  let input = corpus[random.below(corpus.length)]!;
  const steps = 1 + random.below(STEPS_MAX);
  for (let step = 0; step < steps; step++) {
    const change = CHANGES[random.below(CHANGES.length)]!;
    input = change(input, { random, corpus, words }).subarray(0, INPUT_BYTES_MAX);
  }
  return input;
}

const CHANGES: readonly Change[] = [
  // a bit, a byte, a number
  (input, { random }) => changed(input, random, copy => flip(copy, random)),
  (input, { random }) =>
    changed(input, random, copy => copy.fill(random.below(256), ...one(copy, random))),
  (input, { random }) => changed(input, random, copy => number(copy, random)),
  // a part: taken out, repeated, moved, replaced by that of another input
  (input, { random }) => {
    const [from, to] = range(input, random);
    return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
  },
  (input, { random }) => {
    const [from, to] = range(input, random);
    return Buffer.concat([input.subarray(0, to), input.subarray(from)]);
  },
  (input, { random }) => {
    const [a, b] = range(input, random);
    const c = b + random.below(input.length - b + 1);
    const parts = [input.subarray(0, a), input.subarray(b, c), input.subarray(a, b)];
    return Buffer.concat([...parts, input.subarray(c)]);
  },
  (input, { random, corpus }) => {
    const other = corpus[random.below(corpus.length)]!;
    const [from, to] = range(other, random);
    const at = random.below(input.length + 1);
    return Buffer.concat([input.subarray(0, at), other.subarray(from, to), input.subarray(at)]);
  },
  (input, { random, corpus }) => {
    const other = corpus[random.below(corpus.length)]!;
    const at = random.below(input.length + 1);
    return Buffer.concat([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
  },
  (input, { random, corpus }) => Buffer.concat([input, corpus[random.below(corpus.length)]!]),
  // junk, and words of the grammar
  (input, { random }) => {
    const junk = Buffer.from(Array.from({ length: 1 + random.below(32) }, () => random.below(256)));
    const at = random.below(input.length + 1);
    return Buffer.concat([input.subarray(0, at), junk, input.subarray(at)]);
  },
  (input, { random, words }) => {
    if (words.length === 0) return input;
    const at = random.below(input.length + 1);
    const over = random.below(2) * random.below(32);
    const word = words[random.below(words.length)]!;
    return Buffer.concat([input.subarray(0, at), word, input.subarray(at + over)]);
  },
];

function changed(input: Buffer, random: Random, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(input.length > 0 ? input : [random.below(256)]);
  change(copy);
  return copy;
}

function flip(copy: Buffer, random: Random): void {
  copy[random.below(copy.length)]! ^= 1 << random.below(8);
}

function one(copy: Buffer, random: Random): [number, number] {
  const at = random.below(copy.length);
  return [at, at + 1];
}

function number(copy: Buffer, random: Random): void {
  const bytes = [1, 2, 4][random.below(3)]!;
  if (copy.length < bytes) return;
  const value = EDGES[random.below(EDGES.length)]! % 2 ** (8 * bytes);
  copy.writeUIntBE(value, random.below(copy.length - bytes + 1), bytes);
}

/** A part of the input, mostly a short one. */
function range(input: Buffer, random: Random): [number, number] {
  const from = random.below(input.length + 1);
  const longest = random.below(4) === 0 ? input.length : 16;
  return [from, Math.min(input.length, from + random.below(longest + 1))];
}
