/** What the arbitration's notices are to management tools and operators. */
import type { HostNotice } from './arbitration/host-events.ts';

/** Which notice of the arbitration is which event. */
export const EVENT_OF: Record<HostNotice, string> = {
  suspecting: 'PEER_SUSPECTED',
  unprotected: 'PROTECTION_LOST',
  held: 'OUTPUT_HELD',
  protecting: 'PROTECTION_STARTED',
  'protection-failed': 'PROTECTION_FAILED',
  protected: 'PROTECTION_ACTIVE',
  'copy-complete': 'COPY_COMPLETE',
  freezing: 'PEER_SUSPECTED',
  promoted: 'GRANTED',
  'failed-over': 'FAILED_OVER',
  'resume-failed': 'FAILOVER_FAILED',
  halted: 'FENCED',
  dropped: 'EMPTY',
};

/** Every event of a coordinator. */
export const EVENTS: readonly string[] = [
  ...new Set(Object.values(EVENT_OF)),
  ...['STATE_CHANGE', 'GATEWAY_LOST', 'GATEWAY_BACK', 'PROXY_LOST', 'DRILL_DONE', 'DRILL_FAILED'],
  ...['STANDBY_LOST', 'STANDBY_READY'],
  'STAGING_FULL',
  'COORDINATOR_RESTARTED',
];

/** What an operator should look at soon: nobody else holds this machine's state. */
export const LOUD: ReadonlySet<HostNotice> = new Set([
  'unprotected',
  'held',
  'protection-failed',
  'resume-failed',
  'halted',
]);
