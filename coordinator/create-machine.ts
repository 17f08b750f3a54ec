/** `curling-coordinator create`: the beginning of a machine's life, done once, by the operator. */
import { CurlingError } from '../common/errors.ts';
import type { RegisterSource } from './arbitration/backend.ts';
import { createRequest } from './arbitration/host-start.ts';
import { newIdentity } from './arbitration/incarnation.ts';
import { ownerText, type Register, sameOwner } from './arbitration/register.ts';
import type { CoordinatorConfig } from './config.ts';
import { findGuest } from './guest.ts';
import type { IdentityFile } from './identity.ts';

/**
 * Makes the register of a machine whose guest runs here, and remembers that guest: the coordinator that is started next
 * goes on with it. The caller has the run directory's lock.
 * @returns What to tell the operator.
 * @throws CurlingError CURLING_REGISTER when there is a register already; CURLING_CONNECT when no guest is at `qmpPath`.
 */
export async function createMachine(
  config: CoordinatorConfig,
  identity: IdentityFile,
  witness: RegisterSource,
): Promise<string> {
  const { vm, host } = config;
  const before = await witness.read(vm);
  const known = { host, incarnation: identity.current.incarnation };
  // The answer to an attempt before this one was lost.
  if (before && identity.guestIntact && sameOwner(before.primary, known)) return created(before);
  if (before) {
    const text = `${ownerText(before)}; a machine is created once, and forgotten before it is created again`;
    throw new CurlingError('CURLING_REGISTER', text);
  }
  const guest = await findGuest(config, identity);
  guest?.close();
  const me = { host, incarnation: identity.current.incarnation };
  const { register } = await witness.swap(createRequest(vm, me));
  if (!register || !sameOwner(register.primary, me)) {
    identity.renew(newIdentity());
    const text = register ? ownerText(register) : 'the witness did not create it';
    throw new CurlingError('CURLING_REGISTER', text);
  }
  return created(register);
}

function created({ vm, generation, primary }: Register): string {
  return `${vm} is created: generation ${generation}, on ${primary.host}. Start its coordinator here now.\n`;
}
