/** The switches with which tests break the product. What catches each of them is in test/system/catchers.ts. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { SABOTAGES, sabotageFrom } from '../../coordinator/sabotage.ts';
import { inRepository } from '../../lab/paths.ts';
import { CATCHERS } from '../system/catchers.ts';

const names = Object.keys(SABOTAGES);

test('there are twelve sabotages and more, and each has a catcher', t => {
  t.true(names.length >= 12);
  t.deepEqual(Object.keys(CATCHERS).sort(), names.toSorted());
});

test('a program knows its own sabotages and refuses every other name', t => {
  const asked = (name: string) => ({ CURLING_TEST_SABOTAGE: name });
  for (const [name, programs] of Object.entries<readonly string[]>(SABOTAGES)) {
    for (const program of ['coordinator', 'witness'] as const) {
      if (programs.includes(program)) t.is(sabotageFrom(asked(name), program) as string, name);
      else t.throws(() => sabotageFrom(asked(name), program), { code: 'CURLING_USAGE' });
    }
  }
  t.throws(() => sabotageFrom(asked('all'), 'witness'), { code: 'CURLING_USAGE' });
  t.is(sabotageFrom({}, 'coordinator'), undefined);
  t.is(sabotageFrom(asked(''), 'witness'), undefined);
});

test('docs/operations.md names every sabotage', t => {
  const operations = readFileSync(inRepository('docs/operations.md'), 'utf8');
  for (const name of names) t.true(operations.includes(`\`${name}\``), name);
});
