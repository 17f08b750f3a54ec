#!/usr/bin/env node
/** `curlingctl`: what an operator sees of coordinators and what they tell them. */
import { EXIT } from '../common/errors.ts';
import type { CommandSpec } from '../common/options.ts';
import { runProgram } from '../common/program.ts';
import { COMMANDS, type CtlContext } from './commands.ts';
import { usageError } from './usage.ts';

const CURLINGCTL: CommandSpec = {
  program: 'curlingctl',
  usage: '(status|events|protect|unprotect|failover) [VM] | keygen HOST… --file FILE [options]',
  summary: 'Shows and steers the protection of virtual machines.',
  options: {
    socket: {
      type: 'string',
      value: 'PATH',
      multiple: true,
      help: "a coordinator's control socket (default: all in /run/curling/*/)",
    },
    json: { type: 'boolean', help: 'one JSON document, or one per line' },
    timestamps: { type: 'boolean', help: 'events: begin each line with its time' },
    timeout: { type: 'string', value: 'S', help: 'events: end after S seconds' },
    yes: { type: 'boolean', help: "failover: do not ask for the machine's name" },
    file: {
      type: 'string',
      value: 'FILE',
      help: 'keygen: the key file to make or to add hosts to',
    },
    replace: { type: 'boolean', help: 'keygen: give hosts that have a key another one' },
  },
  notes: [
    'Exit status of status: 0 all protected, 1 one is not, 3 no coordinator runs, 4 one does not answer.',
  ],
};

await runProgram(CURLINGCTL, async line => {
  const [name, ...words] = line.positionals;
  const [vm, ...rest] = words;
  const command = name === undefined ? undefined : COMMANDS[name];
  if (!command)
    throw usageError(
      `expected one of ${Object.keys(COMMANDS).join(', ')}, got ${name ?? 'nothing'}`,
    );
  if (rest.length > 0 && name !== 'keygen')
    throw usageError(`expected at most one machine's name, got also ${rest.join(' ')}`);
  const context: CtlContext = {
    sockets: (line.values.socket as string[] | undefined) ?? [],
    vm,
    json: line.values.json === true,
    timestamps: line.values.timestamps === true,
    timeoutS: typeof line.values.timeout === 'string' ? line.values.timeout : undefined,
    yes: line.values.yes === true,
    hosts: words,
    file: typeof line.values.file === 'string' ? line.values.file : undefined,
    replace: line.values.replace === true,
  };
  return (await command(context)) ?? EXIT.ok;
});
