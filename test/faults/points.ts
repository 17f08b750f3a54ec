/**
 * The 31 points of the protocol at which every fault is injected.
 *
 * E: one epoch of a protected machine. F: a failover that the operator asked for at the backup (`curlingctl failover`), so
 * that nothing was lost before the fault and the fault alone decides. R: the machine is unprotected and is being paired.
 */
export interface PointFacts {
  /** Where the point is passed: `primary` and `backup` as the roles were before. */
  readonly at: 'primary' | 'backup' | 'witness' | 'proxy';
  readonly what: string;
}

export const POINT_FACTS = {
  'E1-due': { at: 'primary', what: 'the schedule wants a checkpoint; REPLY is not sent' },
  'E2-stopped': { at: 'primary', what: 'the guest is stopped, nothing is sealed' },
  'E3-sealed': { at: 'primary', what: 'the epoch is sealed, the checkpoint is not staged' },
  'E4-begin-sent': { at: 'primary', what: 'CHECKPOINT_BEGIN is sent' },
  'E5-pages-sent': { at: 'primary', what: 'some pages are sent' },
  'E6-device-sent': { at: 'primary', what: 'pages and device state are sent, COMMIT is not' },
  'E7-commit-sent': { at: 'primary', what: 'COMMIT is sent' },
  'E8-resumed': { at: 'primary', what: 'the guest runs on' },
  'E9-received': { at: 'backup', what: 'COMMIT is here, nothing is verified' },
  'E10-verified': { at: 'backup', what: 'the checkpoint is verified, not committed' },
  'E11-committed': { at: 'backup', what: 'the checkpoint is committed, ACK is not sent' },
  'E12-ack-sent': { at: 'backup', what: 'ACK is on its way' },
  'E13-acknowledged': { at: 'primary', what: 'ACK is here, nothing is released' },
  'E14-releasing': { at: 'proxy', what: 'some frames of the epoch have left' },
  'E15-released': { at: 'primary', what: 'all frames of the epoch have left' },
  'E16-applied': { at: 'backup', what: 'the checkpoint is applied to the shadow' },
  'F1-suspected': { at: 'backup', what: 'the backup acknowledges nothing more; T3 is not sent' },
  'F2-solo-sent': { at: 'backup', what: 'T3 is on its way to the witness' },
  'F3-solo-applied': { at: 'witness', what: 'T3 is on disk; its answer is not sent' },
  'F4-granted': { at: 'backup', what: 'the grant is known, nothing is loaded' },
  'F5-loading': { at: 'backup', what: 'the standby reads the device state' },
  'F6-loaded': { at: 'backup', what: 'all is read, the guest does not run' },
  'F7-running': { at: 'backup', what: 'the guest runs; the coordinator does not know yet' },
  'F8-announced': { at: 'backup', what: 'the coordinator knows, and is the primary' },
  'R1-snapshot': { at: 'primary', what: 'the full copy is staged, the guest is stopped' },
  'R2-held': { at: 'primary', what: 'output is held, the guest is still stopped' },
  'R3-copying': { at: 'primary', what: 'the guest runs on; the end of the copy is not sent' },
  'R4-copy-acknowledged': { at: 'primary', what: 'the copy is acknowledged, T1 is not sent' },
  'R5-pair-sent': { at: 'primary', what: 'T1 is on its way to the witness' },
  'R6-pair-applied': { at: 'witness', what: 'T1 is on disk; its answer is not sent' },
  'R7-first-epoch': { at: 'primary', what: 'the first epoch of the new pair is begun' },
} as const satisfies Record<string, PointFacts>;

export type PointName = keyof typeof POINT_FACTS;

export const POINTS = Object.keys(POINT_FACTS) as readonly PointName[];

/** The number of a point within its letter. */
export function pointNumber(point: PointName): number {
  return Number.parseInt(point.slice(1), 10);
}
