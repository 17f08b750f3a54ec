/** `npm start`: protects a real guest on this machine, kills its host twice, and says what the outside saw. */
import { writeFileSync } from 'node:fs';
import { EXIT } from '../common/errors.ts';
import type { CommandSpec } from '../common/options.ts';
import { runProgram } from '../common/program.ts';
import { failures, summaryText } from './facts.ts';
import { Story } from './story.ts';
import { Screen } from './view.ts';

const DEMO: CommandSpec = {
  program: 'npm start --',
  usage: '[--json FILE] [--keep]',
  summary: 'Protects a Linux guest, kills its host, then pulls the plug of the next one.',
  options: {
    json: { type: 'string', value: 'FILE', help: 'write the facts there as JSON' },
    keep: { type: 'boolean', help: 'leave the lab up and print how to look around and end it' },
  },
};

await runProgram(DEMO, async line => {
  const facts = await Story.tell(new Screen(process.stdout), line.values.keep === true);
  if (typeof line.values.json === 'string') {
    writeFileSync(line.values.json, `${JSON.stringify(facts, null, 2)}\n`);
  }
  const wrong = failures(facts);
  process.stdout.write(`\n${summaryText(facts)}\n`);
  for (const offence of facts.offences) process.stdout.write(`  ${offence}\n`);
  for (const text of wrong) process.stdout.write(`FAILED: ${text}\n`);
  if (wrong.length === 0) process.stdout.write('Nobody outside could tell.\n');
  return wrong.length === 0 ? EXIT.ok : EXIT.runtime;
});
