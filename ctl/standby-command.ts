/** `curlingctl standby-command`: the command of a standby, from a QEMU that runs here. */
import { wholeNumber } from '../common/options.ts';
import { type CtlCommand, usageError } from './command.ts';
import { standbyCommandOf, tomlOf } from './standby-command/derive.ts';
import { factsOf, listenerOf } from './standby-command/running.ts';

/** The largest process id there can be (PID_MAX_LIMIT). */
const PID_MAX = 4_194_304;

export const STANDBY_COMMAND: CtlCommand = {
  usage: '',
  words: 'none',
  summary:
    'prints the command of a standby for a guest that runs here, for its file in /etc/curling/vm',
  options: {
    'from-qemu': {
      type: 'string',
      value: 'PATH',
      help: "the guest's monitor: the process that listens there",
    },
    pid: { type: 'string', value: 'PID', help: "the guest's QEMU" },
    json: { type: 'boolean', help: 'one JSON document' },
  },
  notes: ['What has to be seen to on the other host is written to standard error.'],
  async run({ values }) {
    const { pid, json } = values;
    const socket = values['from-qemu'];
    if ((socket === undefined) === (pid === undefined))
      throw usageError('expected one of --from-qemu and --pid', 'standby-command');
    const id = pid === undefined ? listenerOf(String(socket)) : wholeNumber('pid', pid, 1, PID_MAX);
    const { command, warnings } = standbyCommandOf(factsOf(id));
    if (json === true) {
      process.stdout.write(`${JSON.stringify({ command, warnings })}\n`);
      return undefined;
    }
    process.stdout.write(tomlOf(command));
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
    return undefined;
  },
};
