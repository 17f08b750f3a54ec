/**
 * `npm run metrics -- COORDINATOR PROXY WITNESS`: holds what three daemons export (each a file or a URL of /metrics) against
 * the dashboard, the alerts and docs/metrics.md, whose tables it writes anew. Ends with status 1 when something is wrong.
 */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Dashboard } from './dashboard.ts';
import { parseExposition } from './exposition.ts';
import { metricTables, withTables } from './page.ts';
import { parseRules } from './rules-file.ts';
import { usageProblems } from './usage.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const PROGRAMS = ['curling-coordinator', 'curling-proxy', 'curling-witness'];
const PAGE = `${repository}docs/metrics.md`;

async function textOf(source: string): Promise<string> {
  if (!source.startsWith('http')) return fs.readFileSync(source, 'utf8');
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${source} answers with status ${response.status}`);
  return response.text();
}

const sources = process.argv.slice(2);
if (sources.length !== PROGRAMS.length) {
  process.stderr.write(`expected what ${PROGRAMS.join(', ')} export: three files or URLs\n`);
  process.exit(2);
}
const texts = await Promise.all(sources.map(textOf));
const outputs = Object.fromEntries(texts.map((text, i) => [PROGRAMS[i]!, parseExposition(text)]));
const read = (file: string) => fs.readFileSync(repository + file, 'utf8');
const problems = usageProblems(Object.values(outputs).flat(), {
  dashboard: JSON.parse(read('install/grafana/curling.json')) as Dashboard,
  alerts: parseRules(read('install/prometheus/curling.rules.yml')),
});
fs.writeFileSync(PAGE, withTables(fs.readFileSync(PAGE, 'utf8'), metricTables(outputs)));
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
