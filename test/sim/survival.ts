/** Whether the machine can go on at all, by what the register says and by who is alive: the judge of liveness. */
import type { HostStateName } from '../../coordinator/arbitration/host-state.ts';
import { type Owner, type Register, sameOwner } from '../../coordinator/arbitration/register.ts';
import type { SimHost } from './host.ts';
import type { Simulation } from './simulation.ts';

export interface Survival {
  readonly possible: boolean;
  readonly register: Register | null;
  /** The lives of all hosts at this moment. */
  readonly lives: ReadonlySet<string>;
}

export function survival(sim: Simulation): Survival {
  const { register } = sim.witness;
  const lives = new Set(sim.hosts.map(host => host.identity?.incarnation ?? ''));
  return { possible: sim.hosts.some(host => mayRun(host, register)), register, lives };
}

/**
 * Whether nothing that lived was lost between the two: no life of `before` gave up the machine, unless a life that was
 * over by then had still asked for it.
 */
export function lostInBetween(before: Survival, after: Survival): boolean {
  if (!before.possible || after.possible) return false;
  const owner = after.register?.primary.incarnation ?? '';
  return before.lives.has(owner);
}

/** Whether the pair that the register names stands: both live, and each knows its place. */
export function isProtected(sim: Simulation): boolean {
  const { register } = sim.witness;
  if (register?.mode !== 'PAIR') return false;
  const stands = (owner: Owner | null, name: HostStateName) =>
    sim.hosts.some(({ coordinator }) => {
      const state = coordinator?.process.alive ? coordinator.state : null;
      return state?.name === name && sameOwner(state.me, owner);
    });
  return stands(register.primary, 'PROT') && stands(register.backup, 'BACK');
}

function mayRun({ identity, coordinator, qemu }: SimHost, register: Register | null): boolean {
  const guestLives = identity?.guest === qemu && qemu?.process.alive === true;
  if (!register) return qemu?.process.alive === true;
  if (!identity) return false;
  const { primary, backup } = register;
  const state = coordinator?.process.alive ? coordinator.state : null;
  const copy = state?.name === 'BACK' || state?.name === 'FROZ';
  if (identity.incarnation === backup?.incarnation) return copy;
  if (identity.incarnation !== primary.incarnation) return false;
  const resumable = coordinator?.backup.canResume === true;
  return guestLives || copy || (state?.name === 'SOLO' && !state.running && resumable);
}
