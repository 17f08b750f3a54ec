/** What a host's state machine is told, and what it tells its shell to do. */
import type { Owner, Register, SwapRequest } from './register.ts';

/**
 * What the shell tells the machine, one event at a time, in the order in which it happened here.
 */
export type HostEvent =
  /** The register was read; null when it is absent. */
  | { readonly type: 'register-read'; readonly register: Register | null }
  /**
   * A swap was answered. Whether it swapped does not matter: the register alone says who holds
   * what.
   */
  | {
      readonly type: 'swap-answered';
      readonly request: SwapRequest;
      readonly register: Register | null;
    }
  /**
   * The peer may be gone: silence, a closed connection, or the operator's word. Never needs to be
   * right.
   */
  | {
      readonly type: 'suspect-peer';
      readonly reason: string;
      /** The incarnation behind the connection that failed; another peer's is ignored. */
      readonly incarnation?: string;
    }
  /**
   * The guest is stopped at the end of epoch `snapshot`, the full copy's. `hold` comes back and
   * must be done before the guest runs on.
   */
  | { readonly type: 'protect-requested'; readonly snapshot: number }
  /** A backup holds the full copy of `epoch` completely. */
  | {
      readonly type: 'full-acked';
      readonly generation: number;
      readonly epoch: number;
      readonly from: Owner;
    }
  /** The full copy failed. Legal until `pair` was asked for. */
  | { readonly type: 'give-up'; readonly reason: string }
  /** The backup `incarnation` has committed every epoch up to this one. */
  | {
      readonly type: 'ack';
      readonly generation: number;
      readonly epoch: number;
      readonly incarnation: string;
    }
  /**
   * A full copy was received, verified and committed; `to` is the incarnation that it was addressed
   * to.
   */
  | {
      readonly type: 'full-received';
      readonly generation: number;
      readonly epoch: number;
      readonly from: Owner;
      readonly to: string;
    }
  /**
   * A checkpoint that `acceptsCheckpoint` let in is committed. One that is committed already is
   * acked again.
   */
  | { readonly type: 'checkpoint-committed'; readonly generation: number; readonly epoch: number }
  /**
   * `from`, which runs the guest alone at `generation` and has been in `epoch`, asks to be admitted. Whoever runs alone
   * has not asked for a pair of the next generation, or would still wait for the answer.
   */
  | {
      readonly type: 'never-paired';
      readonly generation: number;
      readonly epoch: number;
      readonly from: Owner;
    }
  /**
   * Time to repeat what is unresolved: a swap without an answer, a resume or a stop that failed.
   */
  | { readonly type: 'retry' }
  /**
   * A reason to look at the register: the event loop stood still, a peer speaks of a newer
   * generation.
   */
  | { readonly type: 'doubt'; readonly reason: string }
  /**
   * The guest's QEMU is gone or failed to resume; or the operator wants the backup to take over.
   */
  | { readonly type: 'guest-lost'; readonly reason: string }
  /** The guest runs, after `resume-guest`. */
  | { readonly type: 'resumed' }
  /** The operator accepts to be unprotected: what policy `hold` keeps in a SOLO may leave. */
  | { readonly type: 'open-requested' }
  /** No guest executes here any more and no output is left, after `stop-guest`. */
  | { readonly type: 'guest-stopped' };

/**
 * A register that is there, however it was learnt: what the states see of `register-read` and
 * `swap-answered`.
 */
export interface RegisterKnown {
  readonly type: 'register-known';
  readonly register: Register;
  /** The request that it answers; null for a plain read. */
  readonly answers: SwapRequest | null;
}

/** What reaches a state's own rules; the rest is the same in every state. */
export type StateEvent =
  | Exclude<HostEvent, { type: 'register-read' | 'swap-answered' | 'doubt' }>
  | RegisterKnown;

/** The changes that an operator or a management tool wants to hear of. */
export type HostNotice =
  | 'suspecting'
  | 'unprotected'
  | 'held'
  | 'protecting'
  | 'protection-failed'
  | 'protected'
  | 'copy-complete'
  | 'freezing'
  | 'promoted'
  | 'failed-over'
  | 'resume-failed'
  | 'halted'
  | 'dropped';

/**
 * What the shell does, in order. Those that touch the proxy or the guest are done before the next
 * event is fed.
 */
export type HostAction =
  /**
   * Hold all output from now on; what comes next belongs to `epoch` (null: the proxy's next). What is
   * held already belongs to the epochs before it, and stays held.
   */
  | { readonly type: 'hold'; readonly epoch: number | null }
  /** Output of every epoch up to this one may leave. */
  | { readonly type: 'release'; readonly epoch: number }
  /**
   * This host holds the grant: release all that is held and take the kernel path; end a protection
   * under way.
   */
  | { readonly type: 'open' }
  /** End a protection under way; the guest runs on, and its output stays as it is: held. */
  | { readonly type: 'end-protection' }
  /** Drop all output that is held. */
  | { readonly type: 'discard-output' }
  /** Tell the peer that every epoch up to this one is committed at this incarnation. */
  | {
      readonly type: 'send-ack';
      readonly generation: number;
      readonly epoch: number;
      readonly to: Owner;
    }
  /** Ask the register. Feed the answer; after an error feed `retry` a little later. */
  | { readonly type: 'swap'; readonly request: SwapRequest }
  | { readonly type: 'read-register' }
  /**
   * Load checkpoint `from`, which is the newest committed one, and let the guest run; then feed
   * `resumed` or `guest-lost`. A checkpoint that is staged but not committed is dropped first.
   * Output goes on at epoch from + 1.
   */
  | { readonly type: 'resume-guest'; readonly from: number }
  /** Stop the guest for good; then feed `guest-stopped`. */
  | { readonly type: 'stop-guest' }
  /** Forget every page, checkpoint and session; from now on this host is `incarnation`. */
  | { readonly type: 'drop-state'; readonly incarnation: string }
  | { readonly type: 'notify'; readonly notice: HostNotice; readonly reason: string };

/** A state and what to do on the way into it. */
export interface Step<S> {
  readonly state: S;
  readonly actions: readonly HostAction[];
}
