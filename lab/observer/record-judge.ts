/** Judges the records seen outside against what the surviving execution remembers. Pure. */
import { chainsOf, type History, nonceAt } from './history.ts';
import type { Offences } from './offences.ts';
import { type RecordLedger, type Sighting, words } from './record-ledger.ts';

export interface RecordSummary {
  /** Records seen, also those seen again. */
  records: number;
  repeated: number;
  contradicted: number;
  /** Not in the survivor's history, or with a chain that does not follow from it. */
  uncommitted: number;
  /**
   * In the survivor's history from the first seen one on, but not seen outside: dropped on the
   * way, not an offence.
   */
  lost: number;
  /** Runs of consecutive lost ones: first and last sequence of the first ten. */
  lostRanges: [number, number][];
  lostRangesTotal: number;
  /** Seen after one with a higher sequence. */
  late: number;
  /** Older than the survivor's history goes, or forgotten by the ledger. */
  unjudged: number;
  first: number | undefined;
  last: number | undefined;
}

const RANGES_MAX = 10;

/**
 * Judges all that the ledger holds. Without a history only what the records say by themselves
 * counts: their chain links.
 */
export function judgeRecords(
  ledger: RecordLedger,
  history: History | undefined,
  offences: Offences,
): RecordSummary {
  const { records, repeated, contradicted, forgotten, late, first, last } = ledger;
  const summary: RecordSummary = {
    records,
    repeated,
    contradicted,
    uncommitted: history ? 0 : ledger.brokenChains,
    lost: 0,
    lostRanges: [],
    lostRangesTotal: 0,
    late,
    unjudged: forgotten,
    first,
    last,
  };
  if (!history) return summary;
  const chains = chainsOf(history);
  for (const sighting of ledger.sightings()) {
    if (sighting.run === history.run && sighting.sequence < history.first) {
      summary.unjudged++;
      continue;
    }
    const wrong = notCommitted(sighting, history, chains);
    if (!wrong) continue;
    summary.uncommitted++;
    offences.add('uncommitted', () => `${words(sighting)} ${wrong}`);
  }
  countLost(summary, ledger, history);
  return summary;
}

function notCommitted(sighting: Sighting, history: History, chains: string[]): string | undefined {
  if (sighting.run !== history.run) return `is of a run that did not survive`;
  const nonce = nonceAt(history, sighting.sequence);
  if (nonce === undefined) return `is beyond ${history.last}, the survivor's last`;
  if (nonce !== sighting.nonce) return `was not sent by the survivor: its nonce is ${nonce}`;
  if (chains[sighting.sequence - history.first] !== sighting.chain)
    return `has a chain that does not follow from the survivor's history`;
  return undefined;
}

function countLost(summary: RecordSummary, ledger: RecordLedger, history: History): void {
  let inRange = false;
  const end = history.first + history.count;
  for (let at = Math.max(history.first, ledger.first ?? end); at < end; at++) {
    const lost = !ledger.has(at);
    if (lost) {
      summary.lost++;
      if (!inRange) summary.lostRangesTotal++;
      const range = summary.lostRanges.at(-1);
      if (inRange && range && range[1] === at - 1) range[1] = at;
      else if (!inRange && summary.lostRanges.length < RANGES_MAX)
        summary.lostRanges.push([at, at]);
    }
    inRange = lost;
  }
}
