import test from 'ava';
import { ident, u32 } from '../qemu/naive-stream.ts';
import { Random } from '../store/model.ts';
import { tryInput } from './engine.ts';
import { MIGRATION, PHASES } from './targets/migration.ts';

test('a subsection named like a member of every object is not known', async t => {
  const first = PHASES[0]!;
  // The subsections begin after the machine's name.
  const at = first.indexOf('pc-x') + 4;
  for (const name of ['constructor', 'toString', '__proto__', 'valueOf']) {
    const section = Buffer.concat([Buffer.from([5]), ident(name), u32(1)]);
    const input = Buffer.concat([first.subarray(0, at), section, first.subarray(at)]);
    const said = await tryInput(MIGRATION, { input, mended: false }, new Random(1));
    t.is(said, 'CURLING_QEMU_STREAM', name);
  }
});
