/** Says whether a soak went well. Pure. */
import type { Part } from '../../lab/parts.ts';
import type { SoakFacts } from './facts.ts';
import { grows, type Sample, type Trend, trendOf } from './series.ts';

/** A process, or a quantity, and how it went. */
export interface Judged {
  name: string;
  what: 'memory' | 'files';
  /** Undefined: it was not there for long enough. */
  trend: Trend | undefined;
  /** Whether it may not grow: QEMU's memory is its guest's. */
  bounded: boolean;
  grown: boolean;
}

export interface Finding {
  text: string;
  value: string;
  ok: boolean;
}

/** What is judged of one process. MiB, and a count. */
export interface Watched {
  name: string;
  part: Part | 'witness' | 'observer' | 'shm';
  rssMib: readonly Sample[];
  fds: readonly Sample[];
}

/** A heap breathes: this much more in the last third than in the first is no leak yet. */
const SHARE = 0.15;
const SLACK_MIB = 16;
/** After a fault the pool of the protection before waits for the collector: one of them, however many faults. */
const SLACK_REPAIRED_MIB = 64;
/** The soak itself reads whole captures at the end of each segment. */
const SLACK_OBSERVER_MIB = 96;
const SLACK_FILES = 4;
/** What is looked at begins when caches and heaps have filled: after a minute, or a fifth of the run. */
const WARM_UP_S = 60;
const WARM_UP_SHARE = 0.2;

/** @param repaired Whether protections were lost and begun again meanwhile. */
export function judgeTrends(
  watched: readonly Watched[],
  durationS: number,
  repaired: boolean,
): Judged[] {
  const warmUpS = Math.max(WARM_UP_S, durationS * WARM_UP_SHARE);
  return watched.flatMap(({ name, part, rssMib, fds }) => {
    // A process that came later, after a fault, warms up later.
    const fromS = (samples: readonly Sample[]) => warmUpS + (samples[0]?.atS ?? 0);
    const memory = trendOf(rssMib, fromS(rssMib));
    const files = trendOf(fds, fromS(fds));
    const bounded = part !== 'qemu';
    const more = memory !== undefined && grows(memory, SHARE, slackMibOf(part, repaired));
    const judged: Judged[] = [
      { name, what: 'memory', trend: memory, bounded, grown: bounded && more },
    ];
    if (fds.length > 0) {
      const grown = files !== undefined && grows(files, 0, SLACK_FILES);
      judged.push({ name, what: 'files', trend: files, bounded: true, grown });
    }
    return judged;
  });
}

function slackMibOf(part: Watched['part'], repaired: boolean): number {
  if (part === 'observer') return SLACK_OBSERVER_MIB;
  return repaired && part === 'coordinator' ? SLACK_REPAIRED_MIB : SLACK_MIB;
}

/** Every finding must be ok for a soak that went well. */
export function findingsOf(facts: SoakFacts, trends: readonly Judged[]): Finding[] {
  const none = (text: string, count: number): Finding => ({
    text,
    value: String(count),
    ok: count === 0,
  });
  const grown = trends.filter(judged => judged.grown).map(({ name, what }) => `${name}: ${what}`);
  const judged = trends.filter(({ trend, bounded }) => trend && bounded).length;
  return [
    none('failovers without a fault', facts.failoversUnprovoked),
    none('protections lost without a fault', facts.protectionsLostUnprovoked),
    none(
      'repeated, contradicted or uncommitted',
      facts.repeated + facts.contradicted + facts.uncommitted,
    ),
    none('connections lost', facts.connectionsLost + (facts.bulkLost === null ? 0 : 1)),
    none('wrong bytes in the long transfer', facts.bulkWrongBytes),
    none('segments about which the observer is not sure', facts.inconclusive),
    none('troubles', facts.texts.length),
    {
      text: 'records seen outside',
      value: String(facts.records),
      ok: facts.records > 0,
    },
    {
      text: 'memory and open files are flat',
      value: judged === 0 ? 'too short to tell' : grown.join(', ') || `${judged} series`,
      ok: grown.length === 0,
    },
    {
      text: 'failovers with a fault',
      value: `${facts.failovers - facts.failoversUnprovoked} with ${faultsOf(facts)} faults`,
      ok: true,
    },
  ];
}

/** How many faults were made and healed. */
export function faultsOf(facts: SoakFacts): number {
  return Object.values(facts.faults).reduce((sum, count) => sum + count, 0);
}
