/** `npm run soak`: hours of a protected guest under load, and whether anything happened that should not. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT } from '../../common/errors.ts';
import { type CommandLine, wholeNumber } from '../../common/options.ts';
import { runProgram } from '../../common/program.ts';
import { inRepository } from '../../lab/paths.ts';
import { faultsOf, findingsOf, judgeTrends, type Watched } from './judge.ts';
import { reportText, resultsJson } from './report.ts';
import type { Sampler } from './sampler.ts';
import { SOAK } from './settings.ts';
import { Soak } from './soak.ts';

const RESULTS = inRepository('build/soak/results.json');

async function main({ values }: CommandLine): Promise<number> {
  const minutes = wholeNumber('minutes', values.minutes, 1, 10_080);
  const faults =
    values.faults === undefined ? undefined : wholeNumber('faults', values.faults, 1, 10_080);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const { facts, sampler } = await Soak.run({
    durationS: minutes * 60,
    seed: wholeNumber('seed', values.seed, 0, 1_000_000),
    segmentS: wholeNumber('segment', values.segment, 10, 300),
    faultsEveryS: faults === undefined ? undefined : faults * 60,
    signal: stop.signal,
    say: line => process.stdout.write(`${line}\n`),
  });
  const trends = judgeTrends(watchedOf(sampler), facts.durationS, faultsOf(facts) > 0);
  const findings = findingsOf(facts, trends);
  mkdirSync(dirname(RESULTS), { recursive: true });
  writeFileSync(RESULTS, resultsJson(facts, findings, trends, sampler));
  process.stdout.write(`${reportText(facts, findings, trends)}results: ${RESULTS}\n`);
  return findings.every(finding => finding.ok) ? EXIT.ok : EXIT.runtime;
}

function watchedOf(sampler: Sampler): Watched[] {
  const processes = [...sampler.processes.values()].map(({ name, part, rssMib, fds }) => {
    return { name, part, rssMib: rssMib.samples, fds: fds.samples };
  });
  return [
    ...processes,
    { name: 'this program', part: 'observer', rssMib: sampler.ownRssMib.samples, fds: [] },
    { name: '/dev/shm', part: 'shm', rssMib: sampler.quantities.shmMib.samples, fds: [] },
  ];
}

await runProgram(SOAK, main);
