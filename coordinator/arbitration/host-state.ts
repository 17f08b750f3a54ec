/**
 * The state of one host for one virtual machine, and what each state allows.
 *
 *   state  role     meaning                                       leaves by
 *   PROT   primary  output held per epoch, released on its ack    suspicion → PRES
 *   PRES   primary  asked for SOLO, outcome unknown               granted → SOLO
 *   SOLO   primary  has the grant, output is free (unprotected)   protect-requested → SYNC
 *   SYNC   primary  full copy under way, held since s             full-acked → SRES, give-up → SOLO
 *   SRES   primary  asked for PAIR, outcome unknown               granted → PROT
 *   BACK   backup   takes and acks checkpoints                    suspicion → FROZ
 *   FROZ   backup   acks nothing any more, asked for SOLO         granted → SOLO, refused → JOIN
 *   HALT   none     lost: guest being stopped, output dropped     guest-stopped → JOIN
 *   JOIN   none     empty; takes only a full copy addressed to it full-received → BACK
 *
 * Besides, a primary state leaves to HALT when the register is newer than it can account for, or its
 * guest is lost; a backup state leaves to JOIN when the register no longer names it. Whoever enters
 * JOIN does so in a new incarnation.
 *
 * Caveats, by state:
 * - PROT ends also when its own guest is lost: it asks for nothing, because SOLO would take the VM
 *   from a backup that can run it. The same in SYNC and SRES; in PRES the question is out already
 *   and may leave the VM stopped.
 * - PRES never returns to PROT: the grant may have been given. It still releases what is
 *   acknowledged, and acks of this generation still count, because an acknowledged epoch is a fact
 *   that nothing can undo.
 * - SYNC may give up only because `pair` was not sent. SRES may not: unknown is not no.
 * - SRES with a suspected backup goes on asking, and asks for SOLO as soon as it is PROT.
 * - BACK before its pair was registered looks the same as after it. Its question for SOLO is then
 *   refused with the register of the generation before, and it drops its copy to be paired afresh;
 *   but only if that was its only question. Another one may reach the witness after the pair did,
 *   and be granted. Then the copy is kept until the register says more, or the primary asks to be
 *   admitted at the generation before: it runs alone there, so it never asked for this pair.
 * - SOLO after a promotion is not `running` until the guest was resumed; output opens only then.
 * - SOLO under policy `hold` is `held`: this host has the register's word, which it needs to be paired
 *   again, but says nothing. What is held meanwhile belongs to epochs up to the next full copy's, so
 *   it leaves when the pair with that copy stands: in PROT, as acknowledged. SYNC and SRES entered
 *   from a held SOLO stay held, and so does the SOLO that a copy given up leads back to. The
 *   operator's word (`open-requested`) ends it; so a machine under `hold` is unprotected only if a
 *   person said so. Output that was acknowledged before may still be on its way out.
 *
 * An event that the outside may cause late (a message, an answer of the witness, a suspicion) is
 * ignored where it has no meaning. An event that only this program's shell can cause wrongly is an
 * assertion; `reduce` says which.
 */
import assert from 'node:assert/strict';
import { type Owner, type Register, sameOwner } from './register.ts';

export const HOST_STATES = [
  'PROT',
  'PRES',
  'SOLO',
  'SYNC',
  'SRES',
  'BACK',
  'FROZ',
  'HALT',
  'JOIN',
] as const;

export type HostStateName = (typeof HOST_STATES)[number];

/**
 * What a primary that has lost its backup does with its output: lets it out (`continue`, available
 * but unprotected), or keeps it until there is a backup again (`hold`, protected but silent).
 */
export const BACKUP_LOSS_POLICIES = ['continue', 'hold'] as const;
export type BackupLossPolicy = (typeof BACKUP_LOSS_POLICIES)[number];

/** In place of an epoch: none yet. */
export const NO_EPOCH = -1;

/** What an arbitration host knows. Plain data; `reduce` makes a new one. */
export interface HostState {
  readonly name: HostStateName;
  readonly vm: string;
  /** Who this is, and in which life. */
  readonly me: Owner;
  /**
   * PROT, PRES, SOLO: of its grant. SYNC, SRES: of its SOLO grant, the copy being for the next. 0
   * in JOIN.
   */
  readonly generation: number;
  /** The backup in PROT, PRES, SRES; the primary in BACK, FROZ; null elsewhere. */
  readonly peer: Owner | null;
  /** The epoch s of the full copy, in SYNC and SRES. */
  readonly snapshot: number;
  /**
   * The newest checkpoint that is complete here, in BACK and FROZ; in SOLO the one it was resumed
   * from.
   */
  readonly committed: number;
  /**
   * The newest epoch that the peer acknowledged in this generation; in SRES in the one that is
   * asked for.
   */
  readonly acked: number;
  /** The newest epoch whose output was told to leave. */
  readonly released: number;
  /** The newest epoch number that this life has seen; the next snapshot has a larger one. */
  readonly lastEpoch: number;
  /** The same in every life of this host. */
  readonly onBackupLoss: BackupLossPolicy;
  /** In SOLO, SYNC, SRES under policy `hold`: nothing leaves but what was acknowledged before. */
  readonly held: boolean;
  /** Whether the guest executes here. */
  readonly running: boolean;
  /** In SRES: the backup was suspected meanwhile. */
  readonly suspected: boolean;
  /** In FROZ: SOLO was asked for more than once, so an answer to one question does not end the others. */
  readonly repeated: boolean;
  /** In SOLO before the guest runs: the last attempt to resume it failed. */
  readonly resumeFailed: boolean;
}

/** An empty host that waits for a full copy. */
export function emptyState(
  vm: string,
  me: Owner,
  onBackupLoss: BackupLossPolicy = 'continue',
): HostState {
  return {
    name: 'JOIN',
    vm,
    me,
    generation: 0,
    peer: null,
    snapshot: NO_EPOCH,
    committed: NO_EPOCH,
    acked: NO_EPOCH,
    released: NO_EPOCH,
    lastEpoch: NO_EPOCH,
    onBackupLoss,
    held: false,
    running: false,
    suspected: false,
    repeated: false,
    resumeFailed: false,
  };
}

/** Whether a grant to run alone keeps the output of this host held. */
export function holds(state: HostState): boolean {
  return state.onBackupLoss === 'hold';
}

/**
 * The newest epoch whose output may leave this host now; `Infinity` for all of it, NO_EPOCH for
 * nothing. This is the release rule: an epoch leaves only if the registered backup has committed
 * it, or if this host holds the only grant and does not keep it held.
 */
export function releasable(state: HostState): number {
  switch (state.name) {
    case 'PROT':
    case 'PRES':
      return state.acked;
    case 'SYNC':
    case 'SRES':
      return state.held ? state.released : state.snapshot;
    case 'SOLO':
      if (!state.running) return NO_EPOCH;
      return state.held ? state.released : Number.POSITIVE_INFINITY;
    default:
      return NO_EPOCH;
  }
}

/** Whether something waits for an answer or another attempt, so that `retry` is of use. */
export function unresolved(state: HostState): boolean {
  const { name } = state;
  return (
    name === 'PRES' || name === 'SRES' || name === 'FROZ' || name === 'HALT' || state.resumeFailed
  );
}

/** Who a checkpoint says it is from and for. */
export interface CheckpointHeader {
  readonly generation: number;
  readonly epoch: number;
  readonly from: Owner;
  /** The incarnation that it is addressed to. */
  readonly to: string;
}

/**
 * Whether a backup takes this checkpoint: right generation, sender, addressee, and exactly the next
 * epoch.
 */
export function acceptsCheckpoint(state: HostState, header: CheckpointHeader): boolean {
  return (
    state.name === 'BACK' &&
    header.generation === state.generation &&
    sameOwner(header.from, state.peer) &&
    header.to === state.me.incarnation &&
    header.epoch === state.committed + 1
  );
}

/**
 * Whether `register` grants SOLO in the generation after the state's to exactly this life of this
 * host.
 */
export function grantsSolo(state: HostState, register: Register): boolean {
  return (
    register.generation === state.generation + 1 &&
    register.mode === 'SOLO' &&
    sameOwner(register.primary, state.me)
  );
}

const WITH_PEER: readonly HostStateName[] = ['PROT', 'PRES', 'SRES', 'BACK', 'FROZ'];
const WITH_SNAPSHOT: readonly HostStateName[] = ['SYNC', 'SRES'];
const STOPPED: readonly HostStateName[] = ['BACK', 'FROZ', 'HALT', 'JOIN'];

/** The invariant of a state by itself. */
export function assertState(state: HostState): void {
  const { name } = state;
  assert((state.peer !== null) === WITH_PEER.includes(name), `${name}: peer`);
  assert(state.snapshot >= 0 === WITH_SNAPSHOT.includes(name), `${name}: snapshot`);
  assert(name === 'JOIN' ? state.generation === 0 : state.generation >= 0, `${name}: generation`);
  assert(name === 'SOLO' || state.running === !STOPPED.includes(name), `${name}: running`);
  const mayHold = holds(state) && [...WITH_SNAPSHOT, 'SOLO'].includes(name);
  assert(!state.held || mayHold, `${name}: held`);
  assert(!state.suspected || name === 'SRES', `${name}: suspected`);
  assert(!state.repeated || name === 'FROZ', `${name}: repeated`);
  assert(!state.resumeFailed || (name === 'SOLO' && !state.running), `${name}: resumeFailed`);
  if (name === 'PROT' || name === 'PRES')
    assert(state.released <= state.acked, `${name}: released ${state.released} > ${state.acked}`);
  if (WITH_SNAPSHOT.includes(name)) assert(state.released <= state.snapshot, `${name}: released`);
  if (name === 'BACK' || name === 'FROZ') assert(state.committed >= 0, `${name}: committed`);
  const newest = Math.max(state.snapshot, state.committed, state.acked, state.released);
  assert(newest <= state.lastEpoch, `${name}: an epoch ${newest} beyond ${state.lastEpoch}`);
}
