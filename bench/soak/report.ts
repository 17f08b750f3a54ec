/** The report of a soak: tables for a terminal, and results.json. */
import Table from 'cli-table3';
import { bytesText } from '../../common/quantities.ts';
import type { SoakFacts } from './facts.ts';
import type { Finding, Judged } from './judge.ts';
import { QUANTITIES, type Sampler } from './sampler.ts';
import type { Trend } from './series.ts';

const STYLE = { head: [], border: [], compact: true };

/** The tables of a soak. */
export function reportText(
  facts: SoakFacts,
  findings: readonly Finding[],
  trends: readonly Judged[],
): string {
  return `\n${trendTable(trends)}\n${findingTable(findings)}\n${summaryLines(facts).join('\n')}\n`;
}

/** Everything, samples included, as results.json has it. */
export function resultsJson(
  facts: SoakFacts,
  findings: readonly Finding[],
  trends: readonly Judged[],
  sampler: Sampler,
): string {
  const processes = [...sampler.processes.values()].map(({ name, part, rssMib, fds }) => {
    return { name, part, rssMib: rssMib.samples, fds: fds.samples };
  });
  const quantities = Object.fromEntries(
    QUANTITIES.map(name => [name, sampler.quantities[name].samples]),
  );
  const own = sampler.ownRssMib.samples;
  const all = { facts, findings, trends, quantities, ownRssMib: own, processes };
  return `${JSON.stringify(all, null, 1)}\n`;
}

function trendTable(trends: readonly Judged[]): string {
  const head = ['process', '', 'first third', 'last third', 'per hour', ''];
  const right = 'right' as const;
  const colAligns = ['left' as const, 'left' as const, right, right, right, 'left' as const];
  const table = new Table({ head, colAligns, style: STYLE });
  for (const { name, what, trend, bounded, grown } of trends) {
    if (!trend) continue;
    const word = grown ? 'GROWN' : bounded ? 'flat' : 'the guest’s';
    table.push([name, what, ...numbers(trend, what === 'memory' ? ' MiB' : ''), word]);
  }
  return table.length > 0 ? table.toString() : 'The run was too short for a trend.';
}

function numbers({ first, last, slopePerHour }: Trend, unit: string): string[] {
  return [first, last, slopePerHour].map(value => `${value.toFixed(unit ? 1 : 0)}${unit}`);
}

function findingTable(findings: readonly Finding[]): string {
  const table = new Table({ style: STYLE });
  for (const { text, value, ok } of findings) table.push([ok ? 'ok' : 'FAILED', text, value]);
  return table.toString();
}

function summaryLines(facts: SoakFacts): string[] {
  const { durationS, segments, epochs, seed, texts } = facts;
  const { records, compareAndSwaps, echoes, bulkBytes, echoP99MsMax } = facts;
  const rate = bytesText(bulkBytes / Math.max(1, durationS));
  return [
    `${(durationS / 60).toFixed(1)} minutes in ${segments} segments, ${epochs} epochs, seed ${seed}`,
    `${records} records, ${compareAndSwaps} compare-and-swaps, ${echoes} echoes (worst p99 of a segment ${echoP99MsMax.toFixed(0)} ms)`,
    `one transfer of ${bytesText(bulkBytes)}, ${rate} a second`,
    ...texts.map(text => `  ${text}`),
  ];
}
