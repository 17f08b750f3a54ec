/**
 * `npm run fuzz [WORD…]`: changes the inputs of every target, or of those whose name has one of the words, for
 * CURLING_FUZZ_SECONDS each (60), from CURLING_FUZZ_SEED (the time), led by what reaches new code. Ends with status 1
 * and the input in hex at the first that does what must not happen.
 */
import { coverageGuide } from './coverage-guide.ts';
import { fuzz } from './engine.ts';
import { TARGETS } from './targets/index.ts';

const seed = Number(process.env.CURLING_FUZZ_SEED ?? Date.now() % 1_000_000);
const seconds = Number(process.env.CURLING_FUZZ_SECONDS ?? 60);
const words = process.argv.slice(2);
const chosen = TARGETS.filter(({ name }) => words.every(word => name.includes(word)));

process.stdout.write(`seed ${seed}, ${seconds} s for each of ${chosen.length}\n`);
for (const target of chosen) {
  const guide = await coverageGuide();
  const { inputs, kept, ends } = await fuzz(target, { seed, seconds, guide });
  process.stdout.write(
    `${target.name}: ${inputs} inputs, ${kept} kept, ${ends.size} ways to end\n`,
  );
}
