/** What a soak has seen, in a few numbers, whatever its length. */
import type { Outcome } from '../../lab/traffic.ts';
import type { SoakFault } from './faults.ts';

const TEXTS_MAX = 20;

export interface SoakFacts {
  seed: number;
  /** Without the start of the lab. */
  durationS: number;
  segments: number;
  /** Segments about which the observer could not be sure. */
  inconclusive: number;
  repeated: number;
  contradicted: number;
  uncommitted: number;
  connectionsLost: number;
  records: number;
  recordsLost: number;
  compareAndSwaps: number;
  echoes: number;
  echoP99MsMax: number;
  /** Of one transfer over one connection, from the first second to the last. */
  bulkBytes: number;
  bulkWrongBytes: number;
  bulkLost: string | null;
  epochs: number;
  faults: Record<SoakFault, number>;
  failovers: number;
  /** While no fault was made and waited out. */
  failoversUnprovoked: number;
  protectionsLostUnprovoked: number;
  /** The first offences, doubts and troubles, in words. */
  texts: string[];
}

export function noFacts(seed: number): SoakFacts {
  return {
    seed,
    durationS: 0,
    segments: 0,
    inconclusive: 0,
    repeated: 0,
    contradicted: 0,
    uncommitted: 0,
    connectionsLost: 0,
    records: 0,
    recordsLost: 0,
    compareAndSwaps: 0,
    echoes: 0,
    echoP99MsMax: 0,
    bulkBytes: 0,
    bulkWrongBytes: 0,
    bulkLost: null,
    epochs: 0,
    faults: { 'kill-primary': 0, 'kill-backup': 0, 'cut-replication': 0, 'restart-witness': 0 },
    failovers: 0,
    failoversUnprovoked: 0,
    protectionsLostUnprovoked: 0,
    texts: [],
  };
}

/** Adds what the observer says about one segment. */
export function addSegment(facts: SoakFacts, { verdict, echo }: Outcome): void {
  facts.segments++;
  if (verdict.inconclusive.length > 0) facts.inconclusive++;
  facts.repeated += verdict.repeated;
  facts.contradicted += verdict.contradicted;
  facts.uncommitted += verdict.uncommitted;
  facts.connectionsLost += verdict.connectionsLost;
  facts.records += verdict.records.records;
  facts.recordsLost += verdict.records.lost;
  facts.compareAndSwaps += verdict.cas?.operations ?? 0;
  facts.echoes += echo.roundTrips.count;
  facts.echoP99MsMax = Math.max(facts.echoP99MsMax, echo.roundTrips.p99Ms);
  for (const text of [...verdict.offences, ...verdict.inconclusive]) addText(facts, text);
}

/** Keeps the first few. */
export function addText(facts: SoakFacts, text: string): void {
  if (facts.texts.length < TEXTS_MAX) facts.texts.push(text);
}
