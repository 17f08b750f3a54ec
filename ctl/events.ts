/** `curlingctl events`: what is, then what changes, until it is told to end. */
import { type CommandLine, wholeNumber } from '../common/options.ts';
import { type CtlCommand, SOCKET_OPTION, socketsIn } from './command.ts';
import { EventFeed } from './event-feed.ts';
import { lineJson, lineText } from './event-lines.ts';
import { coordinatorSockets } from './sockets.ts';

export const EVENTS: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'prints what is, then every change',
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document a line' },
    timestamps: { type: 'boolean', help: 'begin each line with its time (ISO 8601)' },
    now: { type: 'boolean', help: 'end when all that is has been printed' },
    timeout: { type: 'string', value: 'S', help: 'end after S seconds' },
  },
  notes: [
    'exists: a coordinator answers; exists -: these are all; change: its event; create, destroy: one',
    'has come or gone. Coordinators that start later are followed too.',
  ],
  run: events,
};

async function events(line: CommandLine): Promise<undefined> {
  const { values, positionals } = line;
  const endAfterS =
    values.timeout === undefined ? undefined : wholeNumber('timeout', values.timeout, 1, 1e6);
  const named = socketsIn(line);
  const feed = new EventFeed({
    find: () => coordinatorSockets(named),
    vm: positionals[0],
    line: event => {
      const text =
        values.json === true ? lineJson(event) : lineText(event, values.timestamps === true);
      process.stdout.write(`${text}\n`);
    },
  });
  // Counted from the start of the program: the snapshot may take two seconds.
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>(resolve => {
    if (endAfterS !== undefined) timer = setTimeout(resolve, endAfterS * 1000);
  });
  await Promise.race([feed.start(), over]);
  if (values.now !== true) await over;
  clearTimeout(timer);
  feed.close();
  return undefined;
}
