/** `npm run test:faults`: the fault matrix with real processes; docs/faults.md says what is expected of it. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CurlingError, EXIT } from '../../common/errors.ts';
import { runProgram } from '../../common/program.ts';
import { inRepository } from '../../lab/paths.ts';
import { faultsMarkdown } from './document.ts';
import { expected } from './expected.ts';
import { runMatrix } from './matrix.ts';
import { lineOf, type Results, summaryText } from './report.ts';
import { FAULT_RUN, type Settings, settingsOf } from './settings.ts';

const DOCUMENT = inRepository('docs/faults.md');

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(settings: Settings): Promise<number> {
  if (settings.list) {
    for (const { point, fault } of settings.cells) {
      const { outcome, why } = expected(point, fault);
      print(`${point.padEnd(20)} ${fault.padEnd(34)} ${outcome.padEnd(8)} ${why}`);
    }
    if (settings.docs) writeDocument(undefined);
    return EXIT.ok;
  }
  const { results: file } = settings;
  const results = file ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : await run(settings);
  print(summaryText(results));
  if (settings.docs) writeDocument(results);
  return results.cells.every(({ ok }) => ok) ? EXIT.ok : EXIT.runtime;
}

/** Without results, what was measured stays as it is. */
function writeDocument(results: Results | undefined): void {
  const before = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
  writeFileSync(DOCUMENT, faultsMarkdown(results, before));
  print(`document: ${DOCUMENT}`);
}

/** Runs the cells; results.json is there after each of them. */
async function run({ cells, detectionMs, out }: Settings): Promise<Results> {
  if (process.getuid?.() !== 0)
    throw new CurlingError('CURLING_NOT_ROOT', 'the fault matrix needs root: it builds a lab');
  const logs = join(out, 'logs');
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const results: Results = { at: new Date().toISOString(), detectionMs, cells: [] };
  await runMatrix(cells, {
    detectionMs,
    logs,
    onResult: (result, index) => {
      print(lineOf(result, index, cells.length));
      results.cells.push(result);
      writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
    },
  });
  print(`results: ${join(out, 'results.json')}`);
  if (results.cells.some(({ ok }) => !ok)) print(`logs of what failed: ${logs}`);
  return results;
}

await runProgram(FAULT_RUN, line => main(settingsOf(line)));
