/**
 * Feeds a target with changed inputs, whole and in pieces, and compares. With a guide it keeps the inputs that reach
 * code which no input reached before, and changes those further.
 */
import { Random } from '../store/model.ts';
import { allocatedBy } from './allocation.ts';
import { mutant } from './mutate.ts';
import { type Attempt, must, type Target } from './target.ts';

/** Says whether anything ran since the last call that had never run before. */
export interface Guide {
  news(): Promise<boolean>;
}

export interface FuzzOptions {
  seed: number;
  seconds: number;
  guide?: Guide;
}

export interface FuzzResult {
  inputs: number;
  /** How often each word at the end of a result came: a code, or what else the target says. */
  ends: Map<string, number>;
  /** Inputs that reached new code. */
  kept: number;
}

/** Inputs between two looks at the guide and at the clock. */
const BATCH = 50;
const PIECES_MAX = 8;

/** @throws Error for the first input of which the target throws, with the input in hex. */
export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzResult> {
  await target.open?.();
  try {
    return await search(target, options);
  } finally {
    await target.close?.();
  }
}

async function search(target: Target, options: FuzzOptions): Promise<FuzzResult> {
  const random = new Random(options.seed * 2 + 1);
  // The generator's first numbers are as small as the seed.
  for (let turn = 0; turn < 20; turn++) random.below(2);
  const corpus = [...target.seeds];
  let lenient = false;
  const result: FuzzResult = { inputs: 0, ends: new Map(), kept: 0 };
  for (const seed of target.seeds) await tryInput(target, { input: seed, mended: false }, random);
  const deadline = performance.now() + options.seconds * 1000;
  await options.guide?.news();
  while (performance.now() < deadline) {
    const batch: Input[] = [];
    for (let count = 0; count < BATCH; count++) {
      const input = mutant(random, corpus, target.words);
      const mended = target.mend !== undefined && random.below(2) === 0;
      batch.push({ input: mended ? target.mend!(input) : input, mended: mended || lenient });
      const said = await tryInput(target, batch.at(-1)!, random);
      const end = said.slice(said.lastIndexOf('\n') + 1).slice(0, 60);
      result.ends.set(end, (result.ends.get(end) ?? 0) + 1);
      result.inputs++;
    }
    if (!options.guide || !(await options.guide.news())) continue;
    // Something in the batch was new; which of them is not worth finding out.
    const pick = batch[random.below(batch.length)]!;
    corpus.push(pick.input, batch.at(-1)!.input);
    // What is made of these may be whole although nobody mended it.
    lenient ||= pick.mended || batch.at(-1)!.mended;
    result.kept++;
  }
  return result;
}

type Input = Omit<Attempt, 'pieces'>;

/** Runs one input whole and in pieces; returns what the target said. */
export async function tryInput(target: Target, input: Input, random: Random): Promise<string> {
  const pieces = Array.from({ length: 1 + random.below(PIECES_MAX) }, () => {
    const large = random.below(4) === 0;
    return 1 + random.below(large ? 5000 : 20);
  });
  try {
    const whole = await measured(target, { ...input, pieces: [] });
    const cut = await measured(target, { ...input, pieces });
    const same = target.racing || whole === cut;
    must(same, `the same whole and in pieces of ${pieces}:\n${whole}\n--- is not\n${cut}`);
    return whole;
  } catch (error) {
    const hex = input.input.toString('hex');
    const text = `${target.name}: ${error instanceof Error ? error.stack : error}\ninput: ${hex}`;
    throw new Error(text, { cause: error });
  }
}

async function measured(target: Target, attempt: Attempt): Promise<string> {
  const { bytes, result } = allocatedBy(() => target.run(attempt));
  const max = target.allocatedMax(attempt.input.length);
  must(bytes <= max, `${bytes} bytes were asked for, at most ${max} may be`);
  return result;
}
