/** `npm run bench`: measures what curling costs, against doing nothing and against its peers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EXIT } from '../common/errors.ts';
import { runProgram } from '../common/program.ts';
import { checkScenarios } from './harness/check.ts';
import { resultsText } from './harness/findings.ts';
import { hasFailures, type Results } from './harness/results.ts';
import { selectScenarios } from './harness/select.ts';
import { measure } from './measure.ts';
import { listText } from './report/list.ts';
import { summaryText } from './report/terminal.ts';
import { paintFor } from './report/text.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { BENCH, type Settings, settingsOf } from './settings.ts';

function writeReports(results: Results, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'results.json');
  writeFileSync(file, resultsText(results));
  process.stdout.write(`results: ${file}\n`);
}

async function main(settings: Settings): Promise<number> {
  checkScenarios(SCENARIOS);
  const scenarios = selectScenarios(SCENARIOS, settings.names);
  if (settings.list) {
    process.stdout.write(listText(scenarios, settings.quick, settings.rounds));
    return EXIT.ok;
  }
  const results = await measure(scenarios, settings);
  process.stdout.write(summaryText(results, paintFor(process.stdout, process.env)));
  writeReports(results, settings.out);
  return hasFailures(results) || !results.complete ? EXIT.runtime : EXIT.ok;
}

await runProgram(BENCH, line => main(settingsOf(line)));
