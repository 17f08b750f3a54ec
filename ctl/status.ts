/** `curlingctl status`: the machines of this host on one screen. */
import { type CtlCommand, SOCKET_OPTION, socketsIn } from './command.ts';
import { askAll, coordinatorSockets } from './sockets.ts';
import { statusExit, statusScreen } from './view.ts';

export const STATUS: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'shows the machines of this host, worst first',
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document' },
  },
  statuses: {
    0: 'all are protected or standing by',
    1: 'one is not',
    3: 'no coordinator runs here',
    4: 'one does not answer',
  },
  async run(line) {
    const [vm] = line.positionals;
    const answers = (await askAll(coordinatorSockets(socketsIn(line)))).filter(
      answer => vm === undefined || !answer.status || answer.status.vm === vm,
    );
    if (line.values.json === true) {
      const documents = answers.map(
        answer => answer.status ?? { socket: answer.socket, error: answer.error?.code },
      );
      process.stdout.write(`${JSON.stringify(documents, null, 2)}\n`);
    } else {
      const text = answers.length > 0 ? statusScreen(answers) : 'no coordinator runs here\n';
      process.stdout.write(text);
    }
    return statusExit(answers);
  },
};
