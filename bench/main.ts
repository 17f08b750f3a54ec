/** `npm run bench`: measures what curling costs, against doing nothing and against its peers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CurlingError, EXIT } from '../common/errors.ts';
import { runProgram } from '../common/program.ts';
import { inRepository } from '../lab/paths.ts';
import { checkScenarios } from './harness/check.ts';
import { compareResults, hasRegressed } from './harness/compare.ts';
import { resultsText } from './harness/findings.ts';
import { quickForm } from './harness/quick-form.ts';
import { readResults } from './harness/read-results.ts';
import { experimentsOf, hasFailures, type Results } from './harness/results.ts';
import { selectScenarios } from './harness/select.ts';
import { measure } from './measure.ts';
import { comparisonText } from './report/comparison.ts';
import { pageHtml } from './report/html.ts';
import { listText } from './report/list.ts';
import { benchmarksMarkdown } from './report/markdown.ts';
import { experimentText, summaryText } from './report/terminal.ts';
import { paintFor } from './report/text.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { BENCH, type Settings, settingsOf } from './settings.ts';

const DOCUMENT = inRepository('docs/benchmarks.md');
const paint = paintFor(process.stdout, process.env);

function print(text: string): void {
  process.stdout.write(text);
}

async function main(settings: Settings): Promise<number> {
  checkScenarios(SCENARIOS);
  const chosen = selectScenarios(SCENARIOS, settings.names);
  const scenarios = settings.quick ? quickForm(chosen) : chosen;
  if (scenarios.length === 0) {
    const text = `${settings.names.join(', ')}: not in the quick form; leave --quick out`;
    throw new CurlingError('CURLING_USAGE', text);
  }
  if (settings.list) {
    print(listText(scenarios, settings.quick, settings.rounds));
    return EXIT.ok;
  }
  // Read first: a half hour is too long to find out that a file is not there.
  const older = settings.compare === undefined ? undefined : readResults(settings.compare);
  const results = settings.results
    ? loaded(settings.results, older === undefined)
    : await measure(scenarios, settings);
  if (!older || !settings.results) print(summaryText(results, paint));
  writeReports(results, settings);
  const well = settings.results !== undefined || (!hasFailures(results) && results.complete);
  const comparison = older && compareResults(older, results);
  if (comparison) print(comparisonText(comparison, paint));
  return well && !(comparison && hasRegressed(comparison)) ? EXIT.ok : EXIT.runtime;
}

/** Results of a file, and their tables on the terminal when nothing else is asked. */
function loaded(file: string, show: boolean): Results {
  const results = readResults(file);
  if (show)
    for (const experiment of experimentsOf(results)) print(experimentText(experiment, paint));
  return results;
}

/** results.json of a run; the page of every run, or of a file that is not only compared; docs/benchmarks.md on demand. */
function writeReports(results: Results, settings: Settings): void {
  const { out, docs, compare } = settings;
  const ran = settings.results === undefined;
  if (ran || compare === undefined) {
    mkdirSync(out, { recursive: true });
    if (ran) write('results', path.join(out, 'results.json'), resultsText(results));
    write('page', path.join(out, 'report.html'), pageHtml(results));
  }
  if (!docs) return;
  if (results.quick || results.only.length > 0 || !results.complete) {
    const text =
      'docs/benchmarks.md is written from a full run that came to its end, of everything';
    throw new CurlingError('CURLING_USAGE', text);
  }
  write('document', DOCUMENT, benchmarksMarkdown(results));
}

function write(what: string, file: string, text: string): void {
  writeFileSync(file, text);
  print(`${what}: ${file}\n`);
}

await runProgram(BENCH, line => main(settingsOf(line)));
