/** `curlingctl events`: prints what is (`exists`), then what changes. */
import { CurlingError, EXIT } from '../common/errors.ts';
import { type CommandLine, wholeNumber } from '../common/options.ts';
import type { QmpEvent } from '../common/qmp/messages.ts';
import { type CtlCommand, SOCKET_OPTION, socketsIn } from './command.ts';
import { askAll, connect, coordinatorSockets } from './sockets.ts';

export const EVENTS: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'prints what is, then every change',
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document a line' },
    timestamps: { type: 'boolean', help: 'begin each line with its time' },
    timeout: { type: 'string', value: 'S', help: 'end after S seconds' },
  },
  run: events,
};

/** Until the time is over or the connections are. */
async function events(line: CommandLine): Promise<number> {
  const { values } = line;
  const [vm] = line.positionals;
  const endAfterS =
    values.timeout === undefined ? undefined : wholeNumber('timeout', values.timeout, 1, 1e6);
  const sockets = coordinatorSockets(socketsIn(line));
  if (sockets.length === 0) throw new CurlingError('CURLING_CONNECT', 'no coordinator runs here');
  const clients = await Promise.all(sockets.map(connect));
  const print = (kind: string, data: Record<string, unknown>, timeMs: number) => {
    const time = new Date(timeMs).toISOString();
    if (values.json === true)
      return process.stdout.write(`${JSON.stringify({ time, event: kind, ...data })}\n`);
    const words = Object.entries(data).map(
      ([key, value]) => `${key}:${typeof value === 'object' ? JSON.stringify(value) : value}`,
    );
    return process.stdout.write(
      `${values.timestamps === true ? `${time} ` : ''}${kind} ${words.join(' ')}\n`,
    );
  };
  const closed = clients.map(client => {
    client.on('event', (event: QmpEvent) => {
      const ms = event.timestamp.seconds * 1000 + event.timestamp.microseconds / 1000;
      if (vm === undefined || event.data.vm === vm) print(event.event, event.data, ms);
    });
    return new Promise<void>(resolve => client.once('close', () => resolve()));
  });
  for (const answer of await askAll(sockets)) {
    if (!answer.status || (vm !== undefined && answer.status.vm !== vm)) continue;
    const { role, state, generation, epoch } = answer.status;
    const data = { vm: answer.status.vm, role, state, generation, epoch: epoch.committed };
    print('exists', data, Date.now());
  }
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>(resolve => {
    if (endAfterS !== undefined) timer = setTimeout(resolve, endAfterS * 1000);
  });
  await Promise.race([Promise.all(closed), timeout]);
  clearTimeout(timer);
  for (const client of clients) client.close();
  return EXIT.ok;
}
