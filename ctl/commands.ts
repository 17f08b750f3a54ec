/** The commands of curlingctl. Each returns its exit status, or nothing for 0. */
import { createInterface } from 'node:readline/promises';
import { CurlingError, EXIT } from '../common/errors.ts';
import { wholeNumber } from '../common/options.ts';
import type { QmpEvent } from '../common/qmp/messages.ts';
import { generateKeys } from './keygen.ts';
import { type Answer, askAll, connect, coordinatorSockets } from './sockets.ts';
import { usageError } from './usage.ts';
import { headline, statusExit, statusScreen } from './view.ts';

export interface CtlContext {
  sockets: string[];
  vm: string | undefined;
  json: boolean;
  timestamps: boolean;
  timeoutS: string | undefined;
  yes: boolean;
  /** keygen: the hosts, the key file, and whether keys may be replaced. */
  hosts: readonly string[];
  file: string | undefined;
  replace: boolean;
}

type Command = (context: CtlContext) => Promise<number | undefined>;

export const COMMANDS: Record<string, Command> = {
  status,
  events,
  protect: context => tell(context, 'protect'),
  unprotect: context => tell(context, 'unprotect'),
  failover,
  keygen,
};

async function keygen({ hosts, file, replace }: CtlContext): Promise<undefined> {
  if (file === undefined) throw usageError('--file is required');
  process.stdout.write(generateKeys({ hosts, file, replace }));
}

async function status(context: CtlContext): Promise<number> {
  const answers = (await askAll(coordinatorSockets(context.sockets))).filter(
    answer => context.vm === undefined || !answer.status || answer.status.vm === context.vm,
  );
  if (context.json) {
    const documents = answers.map(
      answer => answer.status ?? { socket: answer.socket, error: answer.error?.code },
    );
    process.stdout.write(`${JSON.stringify(documents, null, 2)}\n`);
  } else {
    process.stdout.write(answers.length > 0 ? statusScreen(answers) : 'no coordinator runs here\n');
  }
  return statusExit(answers);
}

/** Prints what is (`exists`), then what changes, until the time is over or the connections are. */
async function events(context: CtlContext): Promise<number> {
  const endAfterS =
    context.timeoutS === undefined ? undefined : wholeNumber('timeout', context.timeoutS, 1, 1e6);
  const sockets = coordinatorSockets(context.sockets);
  if (sockets.length === 0) throw new CurlingError('CURLING_CONNECT', 'no coordinator runs here');
  const clients = await Promise.all(sockets.map(connect));
  const print = (kind: string, data: Record<string, unknown>, timeMs: number) => {
    const time = new Date(timeMs).toISOString();
    if (context.json)
      return process.stdout.write(`${JSON.stringify({ time, event: kind, ...data })}\n`);
    const words = Object.entries(data).map(
      ([key, value]) => `${key}:${typeof value === 'object' ? JSON.stringify(value) : value}`,
    );
    return process.stdout.write(
      `${context.timestamps ? `${time} ` : ''}${kind} ${words.join(' ')}\n`,
    );
  };
  const closed = clients.map(client => {
    client.on('event', (event: QmpEvent) => {
      const ms = event.timestamp.seconds * 1000 + event.timestamp.microseconds / 1000;
      if (context.vm === undefined || event.data.vm === context.vm)
        print(event.event, event.data, ms);
    });
    return new Promise<void>(resolve => client.once('close', () => resolve()));
  });
  for (const answer of await askAll(sockets)) {
    if (!answer.status || (context.vm !== undefined && answer.status.vm !== context.vm)) continue;
    const { vm, role, state, generation, epoch } = answer.status;
    print('exists', { vm, role, state, generation, epoch: epoch.committed }, Date.now());
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

async function failover(context: CtlContext): Promise<undefined> {
  const answer = await one(context);
  const { vm, host, peer, role } = answer.status!;
  const from = role === 'backup' ? peer : host;
  if (!context.yes) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const typed = await terminal.question(
      `${vm} runs on ${from}. Type its name to move it to the other host: `,
    );
    terminal.close();
    if (typed.trim() !== vm)
      throw usageError(`expected ${vm}, got ${JSON.stringify(typed.trim())}; nothing was done`);
  }
  await tell({ ...context, sockets: [answer.socket] }, 'failover');
}

/** Sends a command without arguments to the one coordinator that is meant. */
async function tell(context: CtlContext, command: string): Promise<undefined> {
  const answer = await one(context);
  const client = await connect(answer.socket);
  try {
    await client.execute(command, { vm: answer.status!.vm }, { timeoutMs: 30_000 });
  } finally {
    client.close();
  }
}

/** The coordinator that is meant: the one named, or the only one there is. */
async function one(context: CtlContext): Promise<Answer> {
  const answers = await askAll(coordinatorSockets(context.sockets));
  const lost = answers.find(answer => answer.error);
  if (lost?.error) throw lost.error;
  const meant = answers.filter(
    answer => context.vm === undefined || answer.status?.vm === context.vm,
  );
  if (meant.length === 1) return meant[0]!;
  const found =
    answers.map(answer => `${answer.status?.vm} (${headline(answer.status!).word})`).join(', ') ||
    'none';
  throw usageError(`expected the name of one machine, found ${found}`);
}
