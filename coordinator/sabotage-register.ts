/** The register with a deliberate defect; see sabotage.ts. */
import {
  applyTransition,
  type Owner,
  type RegisterBackend,
  type SwapRequest,
  type SwapResult,
} from './arbitration/register.ts';
import type { Sabotage } from './sabotage.ts';

type Apply = typeof applyTransition;

/** The transitions that this defect leaves; the true ones for a defect that is elsewhere, and without one. Pure. */
export function sabotagedTransition(sabotage: Sabotage | undefined): Apply {
  switch (sabotage) {
    case 'grant-to-host':
      return hostsOnly(['primary', 'backup']);
    case 'ignores-backup-incarnation':
      return hostsOnly(['backup']);
    case 'ignores-generation':
      return (register, request, store, forgotten) => {
        const today = { ...request, generation: register?.generation ?? 0 };
        return applyTransition(register, today, store, forgotten);
      };
    default:
      return applyTransition;
  }
}

/** Who asks is taken for the owner of these roles when it is of the same host. */
function hostsOnly(roles: readonly ('primary' | 'backup')[]): Apply {
  return (register, request, store, forgotten) => {
    if (!register) return applyTransition(register, request, store, forgotten);
    const believed = { ...register };
    for (const role of roles) {
      if (register[role]?.host === request.by.host) Object.assign(believed, { [role]: request.by });
    }
    const result = applyTransition(believed, request, store, forgotten);
    return result.swapped ? result : { swapped: false, register };
  };
}

/** The rule of 2013: whoever reaches the third machine may run. What it remembers is not asked. */
export function decideByReachability(register: RegisterBackend): void {
  const swap = register.swap.bind(register);
  register.swap = async (request: SwapRequest): Promise<SwapResult> => {
    const { vm, generation, transition, by } = request;
    if (transition === 'create' || transition === 'pair') return swap(request);
    const store = await register.storeId();
    const primary: Owner = by;
    const granted = { store, vm, generation: generation + 1, mode: 'SOLO', primary, backup: null };
    return { swapped: true, register: granted as SwapResult['register'] };
  };
}
