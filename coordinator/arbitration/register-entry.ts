/** What a store keeps of one VM: its register, or that it was forgotten. Pure. */
import { isObject } from '../../common/qmp/messages.ts';
import type { Register } from './register.ts';
import { parseGeneration, parseIdentity, parseName, parseRegister } from './register-json.ts';

/**
 * What stays of a register that the operator had forgotten. The forgetting has a generation of its
 * own, so that nothing which was asked of or granted to the former owners fits what comes after it.
 */
export interface Forgotten {
  readonly store: string;
  readonly vm: string;
  /** At least 2: one more than the register had. */
  readonly generation: number;
  readonly mode: 'FORGOTTEN';
}

/** What is known of one VM. */
export type Entry = Register | Forgotten;

/** Whether the VM has a register. */
export function isRegister(entry: Entry): entry is Register {
  return entry.mode !== 'FORGOTTEN';
}

/** The generation in which the VM was forgotten; 0 when it has a register, or never had one. */
export function forgottenGeneration(entry: Entry | null | undefined): number {
  return entry?.mode === 'FORGOTTEN' ? entry.generation : 0;
}

/**
 * An entry from a file or from etcd.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseEntry(entry: unknown): Entry {
  if (!isObject(entry) || entry.mode !== 'FORGOTTEN') return parseRegister(entry);
  return {
    store: parseIdentity('store', entry.store),
    vm: parseName('vm', entry.vm),
    generation: parseGeneration('generation', entry.generation, 2),
    mode: 'FORGOTTEN',
  };
}
