/**
 * The register that decides who may run one virtual machine, and the only four ways in which it
 * changes:
 *
 *   transition          by    from                      to
 *   create              P#i   absent since f            (f+1, SOLO, P#i)
 *   pair                P#i   (g, SOLO, P#i)            (g+1, PAIR, P#i, B#j)
 *   solo-by-primary     P#i   (g, PAIR, P#i, B#j)       (g+1, SOLO, P#i)
 *   solo-by-backup      B#j   (g, PAIR, P#i, B#j)       (g+1, SOLO, B#j)
 *
 * `f` is 0 when there never was a register, else the generation in which the operator had it
 * forgotten, so that generations go on where they were.
 *
 * Everything else is refused. The two solo transitions compete for the same generation, so exactly
 * one of them can succeed. Host and incarnation are compared: a host that restarted empty is
 * somebody else. Pure.
 */
import assert from 'node:assert/strict';

/** Who holds a role: a host, and which life of its state. */
export interface Owner {
  /** 1–64 characters of `[A-Za-z0-9_.-]`. */
  readonly host: string;
  /** 32 lower-case hex digits; a new one whenever acknowledged state may have been lost. */
  readonly incarnation: string;
}

/**
 * SOLO: the primary runs alone and may speak freely. PAIR: output waits for the backup's
 * acknowledgement.
 */
export type RegisterMode = 'SOLO' | 'PAIR';

/** Invariant: `backup` is set exactly in mode PAIR; generation ≥ 1. */
export interface Register {
  /** The id of the store that keeps it, 32 lower-case hex digits. */
  readonly store: string;
  readonly vm: string;
  readonly generation: number;
  readonly mode: RegisterMode;
  readonly primary: Owner;
  readonly backup: Owner | null;
}

export type Transition = 'create' | 'pair' | 'solo-by-primary' | 'solo-by-backup';

/**
 * A request to change the register of `vm`, valid only if its generation is still `generation` (0:
 * absent).
 */
export interface SwapRequest {
  readonly vm: string;
  readonly generation: number;
  readonly transition: Transition;
  readonly by: Owner;
  /** The new backup; only for `pair`. */
  readonly backup?: Owner;
}

/** The register after the request, swapped or not; null only when it is absent and stays so. */
export interface SwapResult {
  readonly swapped: boolean;
  readonly register: Register | null;
}

/**
 * Where registers live: the built-in witness or etcd. Every method may throw; after a thrown `swap`
 * the outcome is UNKNOWN, not "no": the caller must act as if it had happened until it has read the
 * register.
 */
export interface RegisterBackend {
  /** The register of `vm`, or null when it was never created or was forgotten. */
  read(vm: string): Promise<Register | null>;
  swap(request: SwapRequest): Promise<SwapResult>;
  /** The identity of the store. Another one means that the store lost its memory. */
  storeId(): Promise<string>;
}

/** Whether two owners are the same life of the same host. */
export function sameOwner(a: Owner | null, b: Owner | null): boolean {
  return a !== null && b !== null && a.host === b.host && a.incarnation === b.incarnation;
}

/** Whom the register gives the machine to, for the operator of a host that has nothing of it. */
export function ownerText(register: Register | null): string {
  if (!register) return 'the witness has no register of this machine';
  const { primary, backup, generation } = register;
  const how = backup ? `with the backup ${backup.host}` : 'alone';
  return `the register (generation ${generation}) gives the machine to ${primary.host} ${how}`;
}

/**
 * Applies one request to one register. A refused request returns the register as it is, so that the
 * answer always tells the asker where things stand.
 * @param store The id of the store, written into a created register.
 * @param forgotten The generation in which an absent register was forgotten; 0 when there never was
 *   one.
 */
export function applyTransition(
  register: Register | null,
  request: SwapRequest,
  store: string,
  forgotten = 0,
): SwapResult {
  assert(
    register === null || register.vm === request.vm,
    'a request goes to the register of its vm',
  );
  const last = register?.generation ?? forgotten;
  const next = nextRegister(register, request, store, last + 1);
  if (next === null) return { swapped: false, register };
  assert(next.generation === last + 1, 'a generation is never left out');
  assert((next.mode === 'PAIR') === (next.backup !== null), 'a backup is named exactly in PAIR');
  return { swapped: true, register: next };
}

function nextRegister(
  register: Register | null,
  request: SwapRequest,
  store: string,
  generation: number,
): Register | null {
  const { vm, by, transition, backup = null } = request;
  if (request.generation !== (register?.generation ?? 0)) return null;
  if (!Number.isSafeInteger(generation)) return null;
  if (register === null) {
    return transition === 'create'
      ? { store, vm, generation, mode: 'SOLO', primary: by, backup: null }
      : null;
  }
  switch (transition) {
    case 'create':
      return null;
    case 'pair': {
      const allowed = register.mode === 'SOLO' && sameOwner(register.primary, by);
      if (!allowed || backup === null || backup.host === by.host) return null;
      return { store: register.store, vm, generation, mode: 'PAIR', primary: by, backup };
    }
    case 'solo-by-primary':
    case 'solo-by-backup': {
      const holder = transition === 'solo-by-primary' ? register.primary : register.backup;
      if (register.mode !== 'PAIR' || !sameOwner(holder, by)) return null;
      return { store: register.store, vm, generation, mode: 'SOLO', primary: by, backup: null };
    }
  }
}
