/**
 * Judges the compare-and-swap log of the register outside against what the surviving execution
 * remembers. Pure.
 */
import { type History, nonceAt } from './history.ts';
import { type Offences, timeOfDay } from './offences.ts';

/** One operation in the register's log, in the order of decision. */
export interface CasLogEntry {
  atMs: number;
  /** The guest program's run, 16 hex digits. */
  run: string;
  /** Counts from 1 within a run. */
  sequence: number;
  /** The value that the guest believed was there, 32 hex digits. */
  old: string;
  new: string;
  /** The value that was there. */
  held: string;
  applied: boolean;
}

/** What the guest's control port says about its side. */
export interface CasGuestStatus {
  run: string;
  last: number;
  applied: number;
  contradictions: number;
  connectionsLost: number;
  current: string;
}

export interface CasSummary {
  operations: number;
  contradicted: number;
  uncommitted: number;
  connectionsLost: number;
  /** Operations older than the survivor's history goes. */
  unjudged: number;
}

export interface CasEvidence {
  log: readonly CasLogEntry[];
  history: History;
  status: CasGuestStatus;
  /** The guest's side when the log began; without it the guest had done nothing. */
  before?: CasGuestStatus;
}

/** Judges the log; every offence is also added to `offences`. */
export function judgeCas(evidence: CasEvidence, offences: Offences): CasSummary {
  const { log, history, status, before } = evidence;
  const summary: CasSummary = {
    operations: log.length,
    contradicted: 0,
    uncommitted: 0,
    connectionsLost: status.connectionsLost - (before?.connectionsLost ?? 0),
    unjudged: 0,
  };
  const contradict = (text: () => string) => {
    summary.contradicted++;
    offences.add('contradicted', text);
  };
  let last = before?.last ?? 0;
  for (const entry of log) {
    const wrong = contradiction(entry, last);
    if (wrong) contradict(() => `${words(entry)} ${wrong}`);
    last = Math.max(last, entry.sequence);
    const forgotten = entry.run === history.run && entry.sequence < history.first;
    if (forgotten) summary.unjudged++;
    else if (entry.run !== history.run || nonceAt(history, entry.sequence) !== entry.new) {
      summary.uncommitted++;
      offences.add('uncommitted', () => `${words(entry)} is not remembered by the survivor`);
    }
  }
  for (const text of guestSide(evidence)) contradict(() => text);
  return summary;
}

function contradiction(entry: CasLogEntry, last: number): string | undefined {
  if (entry.sequence <= last) return `came again, after ${last}`;
  if (entry.sequence > last + 1) return `came after ${last}: what is between them is lost`;
  if (entry.old !== entry.held || !entry.applied)
    return `expected ${entry.old.slice(0, 8)}… but found ${entry.held.slice(0, 8)}…`;
  return undefined;
}

/** What the guest saw that the register does not confirm. */
function* guestSide({ log, status, before }: CasEvidence): Generator<string> {
  const refused = status.contradictions - (before?.contradictions ?? 0);
  if (refused > 0) yield `the guest, the only writer, was refused ${refused} times`;
  const applied = log.filter(entry => entry.applied);
  const [told, said] = [status.applied - (before?.applied ?? 0), applied.length];
  if (told > said) yield `the guest was told OK ${told} times, the register said it ${said} times`;
  // The answer to the newest operation may still be under way.
  const newest = applied.slice(-2).map(entry => entry.new);
  if (told > 0 && !newest.includes(status.current))
    yield `the guest believes ${status.current.slice(0, 8)}…, the register holds another value`;
}

function words(entry: CasLogEntry): string {
  return `compare-and-swap ${entry.run.slice(0, 4)}…:${entry.sequence} at ${timeOfDay(entry.atMs)}`;
}
