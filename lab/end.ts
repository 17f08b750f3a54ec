/** `node build/lab/end.js [NAME…]`: ends labs that were left up; without a name, removes what dead owners left. */
import { CurlingError } from '../common/errors.ts';
import type { CommandSpec } from '../common/options.ts';
import { runProgram } from '../common/program.ts';
import { labsPresent, removeLab, sweepLabs } from './cleanup.ts';
import { labNameOf } from './record.ts';

const spec: CommandSpec = {
  program: 'lab-end',
  usage: '[--all] [NAME...]',
  summary: 'Ends labs by name; without a name, removes those whose owner is dead.',
  options: { all: { type: 'boolean', help: 'end every lab of this machine, used or not' } },
};

await runProgram(spec, async line => {
  for (const name of line.positionals) {
    if (labNameOf(name) !== name || !labsPresent().includes(name)) {
      const present = labsPresent().join(', ') || 'none';
      throw new CurlingError('CURLING_USAGE', `there is no lab ${name}; present: ${present}`);
    }
  }
  const named = line.values.all ? labsPresent() : line.positionals;
  for (const name of named) removeLab(name);
  const removed = named.length > 0 ? named : sweepLabs();
  process.stdout.write(removed.length > 0 ? `ended ${removed.join(', ')}\n` : 'nothing to end\n');
  return 0;
});
