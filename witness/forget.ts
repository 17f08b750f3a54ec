/**
 * The operator's way out when a register names a life that is over: both hosts died, or the only
 * guest was shut down. In a file this is done offline: it has the store's lock from the question to
 * the end. In etcd only the generation that was shown is forgotten.
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

/** A store whose registers can be taken away. */
export interface ForgettingStore {
  read(vm: string): Promise<Register | null>;
  forgottenIn(vm: string): number | Promise<number>;
  /** @param generation That of the register which was shown. */
  forget(vm: string, generation: number): Promise<number>;
  close(): void | Promise<void>;
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
export function forgetVm(
  file: string,
  vm: string,
  yes: boolean,
  terminal: Terminal,
): Promise<number> {
  return forgetIn(file, () => WitnessStore.open(file), vm, yes, terminal);
}

/**
 * `forgetVm` in any store.
 * @param name Of the store, for messages.
 */
export async function forgetIn(
  name: string,
  open: () => ForgettingStore | Promise<ForgettingStore>,
  vm: string,
  yes: boolean,
  terminal: Terminal,
): Promise<number> {
  if (!yes && !terminal.input.isTTY) {
    const text = 'forget asks for the name of the virtual machine on a terminal; else give --yes';
    throw new CurlingError('CURLING_USAGE', text);
  }
  const store = await open();
  try {
    const register = await store.read(vm);
    if (register === null) throw unknown(name, vm, await store.forgottenIn(vm));
    terminal.output.write(warning(register));
    const typed = yes ? vm : await ask(`Type ${vm} to forget it: `, terminal);
    if (typed !== vm) {
      const text = `expected ${vm}, got ${JSON.stringify(typed)}; nothing was forgotten`;
      throw new CurlingError('CURLING_USAGE', text);
    }
    return await store.forget(vm, register.generation);
  } finally {
    await store.close();
  }
}

/** What a command says that forgot `vm` in `generation`. */
export function forgotten(vm: string, generation: number): string {
  return `${vm} is forgotten; --create begins with generation ${generation + 1}\n`;
}

function unknown(name: string, vm: string, forgotten: number): CurlingError {
  const text =
    forgotten > 0
      ? `${vm} is forgotten already, in generation ${forgotten}; --create makes it anew`
      : `${name} never had a register of ${vm}`;
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
