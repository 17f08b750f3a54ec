/**
 * Registers and requests as JSON, from a witness, a client or a file: everything is checked,
 * nothing is trusted.
 */
import { CurlingError } from '../../common/errors.ts';
import { isObject, type JsonObject } from '../../common/qmp/messages.ts';
import { shown } from '../../common/shown.ts';
import { HOST_NAME } from '../../common/wire/keys.ts';
import type { Owner, Register, SwapRequest, Transition } from './register.ts';

const IDENTITY = /^[0-9a-f]{32}$/;
const TRANSITIONS: readonly Transition[] = ['create', 'pair', 'solo-by-primary', 'solo-by-backup'];

/**
 * A VM's or host's name.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseName(what: string, value: unknown): string {
  if (typeof value === 'string' && HOST_NAME.test(value)) return value;
  throw malformed(what, '1 to 64 characters of A-Z a-z 0-9 _ . -', value);
}

/**
 * An incarnation or store id.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseIdentity(what: string, value: unknown): string {
  if (typeof value === 'string' && IDENTITY.test(value)) return value;
  throw malformed(what, '32 lower-case hex digits', value);
}

/**
 * `{host, incarnation}`; other members are ignored.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseOwner(what: string, value: unknown): Owner {
  if (!isObject(value)) throw malformed(what, 'an object with host and incarnation', value);
  return {
    host: parseName(`${what}.host`, value.host),
    incarnation: parseIdentity(`${what}.incarnation`, value.incarnation),
  };
}

/**
 * A register; a member that is not one of a register's is ignored.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseRegister(value: unknown): Register {
  if (!isObject(value)) throw malformed('register', 'an object', value);
  const mode = value.mode;
  if (mode !== 'SOLO' && mode !== 'PAIR') throw malformed('register.mode', 'SOLO or PAIR', mode);
  const register: Register = {
    store: parseIdentity('register.store', value.store),
    vm: parseName('register.vm', value.vm),
    generation: parseGeneration('register.generation', value.generation, 1),
    mode,
    primary: parseOwner('register.primary', value.primary),
    backup: value.backup === null ? null : parseOwner('register.backup', value.backup),
  };
  if ((mode === 'PAIR') !== (register.backup !== null))
    throw malformed('register.backup', mode === 'PAIR' ? 'an owner' : 'null', value.backup);
  return register;
}

/**
 * The arguments of a `swap`.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseSwapRequest(value: JsonObject): SwapRequest {
  const transition = TRANSITIONS.find(known => known === value.transition);
  if (!transition)
    throw malformed('transition', `one of ${TRANSITIONS.join(', ')}`, value.transition);
  const generation = parseGeneration('generation', value.generation, 0);
  if ((transition === 'create') !== (generation === 0))
    throw malformed('generation', transition === 'create' ? '0' : '1 or more', generation);
  const request = {
    vm: parseName('vm', value.vm),
    generation,
    transition,
    by: parseOwner('by', value.by),
  };
  if (transition !== 'pair') {
    if (value.backup === undefined) return request;
    throw malformed('backup', `none with ${transition}`, value.backup);
  }
  const backup = parseOwner('backup', value.backup);
  if (backup.host === request.by.host)
    throw malformed('backup.host', 'a host other than the primary', backup.host);
  return { ...request, backup };
}

/**
 * A generation of at least `min`.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseGeneration(what: string, value: unknown, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  throw malformed(what, `a whole number of at least ${min}`, value);
}

function malformed(what: string, expected: string, got: unknown): CurlingError {
  return new CurlingError(
    'CURLING_REGISTER',
    `${what}: expected ${expected}, got ${shown(got, 100)}`,
  );
}
