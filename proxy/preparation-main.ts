/**
 * What `curling-install` asks of the kernel, by `node preparation-main.js [--check] TAP [BRIDGE]`: prints assignments for
 * a shell. With --check it refuses what must not be prepared, by the status of the error. It is no command of its own.
 */

import type { CommandLine, CommandSpec } from '../common/options.ts';
import { runProgram } from '../common/program.ts';
import { checkPreparation, preparationFacts } from './preparation.ts';
import { readSurroundings } from './surroundings.ts';

const SPEC: CommandSpec = {
  program: 'curling-install',
  usage: '[--check] TAP [BRIDGE]',
  summary: 'Prints what is to be known about a tap before it is prepared.',
  options: { check: { type: 'boolean', help: 'refuse what must not be prepared' } },
};

async function main(line: CommandLine): Promise<number> {
  const [tap, bridge] = line.positionals;
  const now = await readSurroundings(tap!, bridge);
  if (line.values.check) checkPreparation(tap!, bridge, now);
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  for (const [name, value] of Object.entries(preparationFacts(tap!, bridge, now)))
    process.stdout.write(`${name}=${quote(value)}\n`);
  return 0;
}

await runProgram(SPEC, main);
