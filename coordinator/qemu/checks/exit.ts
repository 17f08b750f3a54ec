/**
 * An exit of the guest that no checkpoint holds: through it the outside sees what a failover takes back, or the guest what
 * it cannot see again. Protection is refused until the operator removes it or allows it by its name.
 */
import { CurlingError } from '../../../common/errors.ts';

export interface Exit {
  /** How the operator names it in --allow-unheld: an id of the command line, or a kind of device. */
  name: string;
  /** What it is, and why nothing holds it. */
  what: string;
}

/**
 * Refuses exits that are not allowed; those that are come back as warnings, as does a name that nothing has.
 * @throws CurlingError CURLING_QEMU_UNHELD that names each of them
 */
export function judgeExits(exits: readonly Exit[], allowed: readonly string[]): string[] {
  const refused = exits.filter(exit => !allowed.includes(exit.name));
  if (refused.length > 0) {
    const list = refused.map(({ name, what }) => `${name} (${what})`).join('; ');
    const options = [...new Set(refused.map(({ name }) => `--allow-unheld ${name}`))].join(' ');
    const text = `curling does not hold what the guest does through: ${list}; remove it, or allow it with ${options}`;
    throw new CurlingError('CURLING_QEMU_UNHELD', text);
  }
  const names = new Set(exits.map(exit => exit.name));
  return [
    ...exits.map(({ name, what }) => `not held, but allowed: ${name} (${what})`),
    ...allowed
      .filter(name => !names.has(name))
      .map(name => `--allow-unheld ${name}: the guest has no exit of this name`),
  ];
}
