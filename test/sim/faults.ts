/**
 * The 35 single faults. Each names what is struck by its role before the fault: the primary is the host whose guest runs
 * when the fault comes, the backup the other one (in an F point: the one that is asked to take over).
 *
 *   kill         the process, or the host with all of its processes, is gone at once; it is started again later
 *   pause        stopped for longer than three detection times
 *   pause-short  stopped for less than one detection time
 *   pause-forever  never heard of again
 *   cut          nothing passes for longer than three detection times, then all does
 *   flap         a few cuts, each shorter than a detection time
 */

/** A process, or all of a host. */
export type Target =
  | 'primary-coordinator'
  | 'primary-qemu'
  | 'primary-proxy'
  | 'primary-host'
  | 'backup-coordinator'
  | 'backup-standby'
  | 'backup-proxy'
  | 'backup-host'
  | 'witness';

/** Directed links between primary, backup and witness. */
export type Way = 'p→b' | 'b→p' | 'p→w' | 'w→p' | 'b→w' | 'w→b';

export type Fault =
  | { readonly kind: 'kill'; readonly target: Target }
  | {
      readonly kind: 'pause';
      readonly target: Target;
      readonly length: 'short' | 'long' | 'forever';
    }
  | { readonly kind: 'cut'; readonly ways: readonly Way[] }
  | { readonly kind: 'flap'; readonly ways: readonly Way[] };

const PB: readonly Way[] = ['p→b', 'b→p'];
const PW: readonly Way[] = ['p→w', 'w→p'];
const BW: readonly Way[] = ['b→w', 'w→b'];

const kill = (target: Target): Fault => ({ kind: 'kill', target });
const short = (target: Target): Fault => ({ kind: 'pause', target, length: 'short' });
const pause = (target: Target): Fault => ({ kind: 'pause', target, length: 'long' });
const forever = (target: Target): Fault => ({ kind: 'pause', target, length: 'forever' });
const cut = (...ways: readonly Way[]): Fault => ({ kind: 'cut', ways });

export const FAULT_FACTS = {
  'kill-primary-coordinator': kill('primary-coordinator'),
  'kill-primary-qemu': kill('primary-qemu'),
  'kill-primary-proxy': kill('primary-proxy'),
  'kill-primary-host': kill('primary-host'),
  'kill-backup-coordinator': kill('backup-coordinator'),
  'kill-backup-standby': kill('backup-standby'),
  'kill-backup-proxy': kill('backup-proxy'),
  'kill-backup-host': kill('backup-host'),
  'kill-witness': kill('witness'),
  'pause-primary-coordinator': pause('primary-coordinator'),
  'pause-primary-qemu': pause('primary-qemu'),
  'pause-primary-proxy': pause('primary-proxy'),
  'pause-primary-host': pause('primary-host'),
  'pause-backup-coordinator': pause('backup-coordinator'),
  'pause-backup-standby': pause('backup-standby'),
  'pause-backup-host': pause('backup-host'),
  'pause-witness': pause('witness'),
  'pause-short-primary-coordinator': short('primary-coordinator'),
  'pause-short-primary-host': short('primary-host'),
  'pause-short-backup-coordinator': short('backup-coordinator'),
  'pause-short-backup-host': short('backup-host'),
  'pause-short-witness': short('witness'),
  'pause-forever-primary-coordinator': forever('primary-coordinator'),
  'pause-forever-primary-host': forever('primary-host'),
  'pause-forever-backup-coordinator': forever('backup-coordinator'),
  'pause-forever-backup-host': forever('backup-host'),
  'pause-forever-witness': forever('witness'),
  'cut-pb': cut(...PB),
  'cut-p-to-b': cut('p→b'),
  'cut-b-to-p': cut('b→p'),
  'cut-pw': cut(...PW),
  'cut-bw': cut(...BW),
  'cut-primary': cut(...PB, ...PW),
  'cut-backup': cut(...PB, ...BW),
  'flap-pb': { kind: 'flap', ways: PB },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULT_FACTS;

export const FAULTS = Object.keys(FAULT_FACTS) as readonly FaultName[];
