/** `curlingctl failover`: the other host is to run the machine. */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { type CtlCommand, SOCKET_OPTION, usageError } from './command.ts';
import { targetOf, tell } from './target.ts';

export const FAILOVER: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'moves a machine to the other host of its pair',
  options: {
    ...SOCKET_OPTION,
    yes: { type: 'boolean', help: "do not ask for the machine's name" },
  },
  notes: [
    'Returns when the coordinator has accepted it; FAILED_OVER in the events says that it is done.',
  ],
  async run(line) {
    const target = await targetOf(line);
    const { vm, host, peer, role } = target.status!;
    if (line.values.yes !== true) await confirm(vm, role === 'backup' ? peer : host);
    await tell(target, 'failover');
    return undefined;
  },
};

/** @throws CurlingError CURLING_USAGE when something else is typed, or the input ends without an answer. */
async function confirm(vm: string, from: string | null): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const question = `${vm} runs on ${from}. Type its name to move it to the other host: `;
  const ended = once(terminal, 'close').then(() => undefined);
  const typed = (await Promise.race([terminal.question(question), ended]))?.trim();
  terminal.close();
  if (typed === vm) return;
  const got =
    typed === undefined ? 'the end of the input (--yes asks nothing)' : JSON.stringify(typed);
  throw usageError(`expected ${vm}, got ${got}; nothing was done`, 'failover');
}
