#!/usr/bin/env node
/** `curlingctl`: what an operator sees of coordinators and what they tell them. */
import { EXIT } from '../common/errors.ts';
import type { CommandSpec } from '../common/options.ts';
import { runProgram } from '../common/program.ts';
import { COMMANDS, type CtlContext } from './commands.ts';
import { usageError } from './usage.ts';

const CURLINGCTL: CommandSpec = {
  program: 'curlingctl',
  usage: 'status|events|protect|unprotect|failover [VM] [options]',
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
  },
  notes: [
    'Exit status of status: 0 all protected, 1 one is not, 3 no coordinator runs, 4 one does not answer.',
  ],
};

await runProgram(CURLINGCTL, async line => {
  const [name, vm, ...rest] = line.positionals;
  const command = name === undefined ? undefined : COMMANDS[name];
  if (!command)
    throw usageError(
      `expected one of ${Object.keys(COMMANDS).join(', ')}, got ${name ?? 'nothing'}`,
    );
  if (rest.length > 0)
    throw usageError(`expected at most one machine's name, got also ${rest.join(' ')}`);
  const context: CtlContext = {
    sockets: (line.values.socket as string[] | undefined) ?? [],
    vm,
    json: line.values.json === true,
    timestamps: line.values.timestamps === true,
    timeoutS: typeof line.values.timeout === 'string' ? line.values.timeout : undefined,
    yes: line.values.yes === true,
  };
  return (await command(context)) ?? EXIT.ok;
});
