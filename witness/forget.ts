/**
 * The operator's way out when a register names a life that is over: both hosts died, or the only
 * guest was shut down. Offline: it has the store's lock from the question to the end.
 */
import { createInterface } from 'node:readline';
import { CurlingError } from '../common/errors.ts';
import type { Owner, Register } from '../coordinator/arbitration/register.ts';
import { WitnessStore } from './store.ts';

/** Whom to ask. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream;
}

/**
 * Shows the register of `vm`, asks for its name, and forgets it.
 * @param yes Do not ask.
 * @returns The generation of the forgetting; a new register begins with the next.
 * @throws CurlingError CURLING_USAGE when nobody can be asked, or another name was typed;
 *   CURLING_REGISTER when there is no such register; CURLING_WITNESS_EMPTY and
 *   CURLING_WITNESS_STORE as `WitnessStore.open`, so while a witness serves the store. Nothing is
 *   forgotten then.
 */
export async function forgetVm(
  file: string,
  vm: string,
  yes: boolean,
  terminal: Terminal,
): Promise<number> {
  if (!yes && !terminal.input.isTTY) {
    const text = 'forget asks for the name of the virtual machine on a terminal; else give --yes';
    throw new CurlingError('CURLING_USAGE', text);
  }
  const store = await WitnessStore.open(file);
  try {
    const register = await store.read(vm);
    if (register === null) throw unknown(file, vm, store.forgottenIn(vm));
    terminal.output.write(warning(register));
    const typed = yes ? vm : await ask(`Type ${vm} to forget it: `, terminal);
    if (typed !== vm) {
      const text = `expected ${vm}, got ${JSON.stringify(typed)}; nothing was forgotten`;
      throw new CurlingError('CURLING_USAGE', text);
    }
    return await store.forget(vm);
  } finally {
    await store.close();
  }
}

function unknown(file: string, vm: string, forgotten: number): CurlingError {
  const text =
    forgotten > 0
      ? `${vm} is forgotten already, in generation ${forgotten}; --create makes it anew`
      : `${file} never had a register of ${vm}`;
  return new CurlingError('CURLING_REGISTER', text);
}

function warning(register: Register): string {
  const { vm, generation, mode, primary, backup } = register;
  const name = ({ host, incarnation }: Owner) => `${host} (${incarnation})`;
  return [
    `The register of ${vm}: generation ${generation}, ${mode}`,
    `  primary ${name(primary)}`,
    ...(backup ? [`  backup  ${name(backup)}`] : []),
    `Forget it only when no guest of ${vm} runs on any host, and none can start to run: its`,
    'coordinators and QEMUs are ended, or these hosts have no power. To be out of reach is not',
    `enough. A guest that runs on keeps its grant, and goes on speaking beside the new one.`,
    '',
  ].join('\n');
}

/** The line typed, trimmed; empty when the input ends. */
function ask(question: string, terminal: Terminal): Promise<string> {
  const lines = createInterface(terminal);
  return new Promise<string>(resolve => {
    lines.once('close', () => resolve(''));
    lines.question(question, resolve);
  })
    .then(typed => typed.trim())
    .finally(() => lines.close());
}
