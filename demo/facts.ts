/** What the demo found out, as `--json` writes it, and the words of its summary. Pure. */
import type { FailoverRecord } from '../coordinator/status.ts';
import type { Outcome } from '../lab/traffic.ts';

export interface Percentile {
  p50: number;
  p99: number;
}

export interface FailoverFacts {
  /** `killed`: all processes of the host at once. `pulled`: its links first, so that nobody was told. */
  kind: 'killed' | 'pulled';
  from: string;
  to: string;
  /** From the end of the host to the suspicion. */
  detectionMs: number;
  /** From the suspicion to the grant. */
  decisionMs: number;
  /** From the grant to a running guest. */
  resumeMs: number;
  /** From the end of the host to the guest's first frame outside from the new one. */
  firstFrameMs: number | null;
  /** The longest time for which the client heard nothing around it. */
  gapMs: number;
}

export interface Facts {
  epochs: number;
  repeated: number;
  contradicted: number;
  uncommitted: number;
  connectionsLost: number;
  inconclusive: string[];
  offences: string[];
  records: number;
  compareAndSwaps: number;
  pauseMs: Percentile & { max: number };
  checkpointBytes: number;
  /** At light load: ten echoes a second and nothing else. */
  echoRttMs: { protected: Percentile; unprotected: Percentile; underLoad: Percentile };
  failovers: FailoverFacts[];
  qemu: string;
  accel: string;
}

/** Adds what one round of traffic showed. */
export function addOutcome(facts: Facts, { verdict }: Outcome): void {
  facts.repeated += verdict.repeated;
  facts.contradicted += verdict.contradicted;
  facts.uncommitted += verdict.uncommitted;
  facts.connectionsLost += verdict.connectionsLost;
  facts.inconclusive.push(...verdict.inconclusive);
  facts.offences.push(...verdict.offences);
  facts.records += verdict.records.records;
  facts.compareAndSwaps += verdict.cas?.operations ?? 0;
}

/** The facts of one failover: what the new primary recorded, and what was seen outside. */
export function failoverFacts(
  kind: FailoverFacts['kind'],
  endedAtMs: number,
  record: FailoverRecord,
  { verdict, echo }: Outcome,
): FailoverFacts {
  const gap = verdict.gaps.find(candidate => candidate.atMs === endedAtMs);
  const first = gap?.firstAfter[`lan-${record.to}`]?.ipMs;
  const around = echo.silences.filter(
    ({ startMs, durationMs }) => startMs <= endedAtMs + 1_000 && startMs + durationMs >= endedAtMs,
  );
  return {
    kind,
    from: record.from,
    to: record.to,
    detectionMs: Date.parse(record.at) - endedAtMs,
    decisionMs: record.decisionMs,
    resumeMs: record.resumeMs,
    firstFrameMs: first === undefined ? null : first - endedAtMs,
    gapMs: Math.max(0, ...around.map(silence => silence.durationMs)),
  };
}

/** Why the demo has failed; none when it has not. */
export function failures(facts: Facts): string[] {
  const wrong: string[] = [];
  const { repeated, contradicted, uncommitted, connectionsLost, records, failovers } = facts;
  if (repeated > 0) wrong.push(`${repeated} outputs were repeated`);
  if (contradicted > 0) wrong.push(`${contradicted} outputs contradicted earlier ones`);
  if (uncommitted > 0) wrong.push(`${uncommitted} outputs came from a state that did not survive`);
  if (connectionsLost > 0) wrong.push(`${connectionsLost} connections were lost`);
  if (records === 0) wrong.push('no record was seen outside: nothing was tested');
  if (failovers.length < 2) wrong.push(`${failovers.length} of 2 failovers happened`);
  if (facts.offences.length > 0 && wrong.length === 0) wrong.push(...facts.offences);
  wrong.push(...facts.inconclusive.map(text => `the observer cannot be sure: ${text}`));
  return wrong;
}

/** The summary for a reader. */
export function summaryText(facts: Facts): string {
  const { echoRttMs, pauseMs, failovers } = facts;
  const rows: [string, string][] = [
    ['guest', `Linux in QEMU ${facts.qemu} (${facts.accel})`],
    [
      'epochs committed',
      `${facts.epochs}, ${(facts.checkpointBytes / 1024).toFixed(0)} KiB each (median)`,
    ],
    ['guest stopped for a checkpoint', `${both(pauseMs)}   at most ${pauseMs.max.toFixed(1)} ms`],
    ['echo, unprotected, light load', both(echoRttMs.unprotected)],
    ['echo, protected, light load', both(echoRttMs.protected)],
    ['echo, protected, with all traffic', both(echoRttMs.underLoad)],
  ];
  for (const failover of failovers) rows.push([failoverName(failover), failoverText(failover)]);
  rows.push([
    'seen outside',
    `${facts.records} records, ${facts.compareAndSwaps} compare-and-swaps`,
  ]);
  const counts = `${facts.repeated} / ${facts.contradicted} / ${facts.uncommitted}`;
  rows.push(['repeated / contradicted / uncommitted', counts]);
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${text}\n`).join('');
}

function both({ p50, p99 }: Percentile): string {
  return `p50 ${p50.toFixed(1)} ms   p99 ${p99.toFixed(1)} ms`;
}

function failoverName({ kind, from, to }: FailoverFacts): string {
  return `host ${from} ${kind === 'killed' ? 'killed' : 'unplugged'}, ${to} runs on`;
}

function failoverText(facts: FailoverFacts): string {
  const { detectionMs, decisionMs, resumeMs, firstFrameMs, gapMs } = facts;
  const first = firstFrameMs === null ? '–' : `${firstFrameMs.toFixed(0)} ms`;
  const steps = [detectionMs, decisionMs, resumeMs].map(ms => ms.toFixed(0)).join(' + ');
  return `detected + decided + resumed ${steps} ms, first frame after ${first}, longest gap ${gapMs.toFixed(0)} ms`;
}
