import test from 'ava';
import { FUZZ_SECONDS, FUZZ_SEED } from './budget.ts';
import { fuzz } from './engine.ts';
import { TARGETS } from './targets/index.ts';

for (const target of TARGETS) {
  test.serial(
    `${target.name}: changed inputs are accepted whole or refused by a documented code`,
    async t => {
      const { inputs, ends } = await fuzz(target, { seed: FUZZ_SEED, seconds: FUZZ_SECONDS });
      const most = [...ends].sort((a, b) => b[1] - a[1]).slice(0, 6);
      t.log(`${inputs} inputs: ${most.map(([end, count]) => `${count} ${end}`).join(', ')}`);
      t.true(ends.size > 1, 'inputs end in more than one way');
    },
  );
}
