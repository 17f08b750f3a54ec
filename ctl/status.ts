/** `curlingctl status`: the machines of this host on one screen, once or again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandLine } from '../common/options.ts';
import { COLOR_OPTION, type Paint, paintFor } from './color.ts';
import { type CtlCommand, SOCKET_OPTION, socketsIn, usageError } from './command.ts';
import { type Answer, askAll, coordinatorSockets } from './sockets.ts';
import { statusExit, statusScreen } from './view.ts';

/** ECMA-48: the cursor to the upper left, and everything behind it away. */
const HOME = '\u001b[H\u001b[J';
const EVERY_S_MAX = 3_600;

export const STATUS: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'shows the machines of this host, worst first',
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document' },
    verbose: { type: 'boolean', help: 'all lines of every machine, also of many that are well' },
    watch: { type: 'string', value: 'S', help: 'again every S seconds, until it is interrupted' },
    ...COLOR_OPTION,
  },
  statuses: {
    0: 'all are protected or standing by',
    1: 'one is not',
    3: 'no coordinator runs here, or none of the machine that is named',
    4: 'one does not answer',
  },
  async run(line) {
    const everyS = watchSeconds(line);
    const paint = paintFor(line.values.color, process.stdout);
    if (everyS === undefined) return show(line, paint);
    let interrupted = false;
    const waiting = new AbortController();
    process.once('SIGINT', () => {
      interrupted = true;
      waiting.abort();
    });
    for (;;) {
      if (process.stdout.isTTY) process.stdout.write(HOME);
      const status = await show(line, paint);
      await sleep(everyS * 1_000, undefined, { signal: waiting.signal }).catch(() => {});
      if (interrupted) return status;
    }
  },
};

/** @throws CurlingError CURLING_USAGE */
function watchSeconds({ values: { watch } }: CommandLine): number | undefined {
  if (watch === undefined) return undefined;
  const seconds = Number(watch);
  if (seconds >= 0.1 && seconds <= EVERY_S_MAX) return seconds;
  const expected = `--watch: expected seconds, 0.1 to ${EVERY_S_MAX}`;
  throw usageError(`${expected}, got ${JSON.stringify(watch)}`, 'status');
}

async function show(line: CommandLine, paint: Paint): Promise<number> {
  const [vm] = line.positionals;
  const all = await askAll(coordinatorSockets(socketsIn(line)));
  // One that does not answer may be the one that is meant.
  const answers = all.filter(({ status }) => vm === undefined || !status || status.vm === vm);
  if (line.values.json === true) process.stdout.write(json(answers));
  else process.stdout.write(answers.length > 0 ? text(answers, line, paint) : nobody(all, vm));
  return statusExit(answers);
}

function nobody(all: readonly Answer[], vm: string | undefined): string {
  if (all.length === 0) return 'no coordinator runs here\n';
  const known = all.map(({ status }) => status!.vm).sort();
  return `no coordinator of ${vm} runs here; there are those of ${known.join(', ')}\n`;
}

function text(answers: readonly Answer[], { values }: CommandLine, paint: Paint): string {
  return statusScreen(answers, { paint, nowMs: Date.now(), verbose: values.verbose === true });
}

function json(answers: readonly Answer[]): string {
  const documents = answers.map(
    answer => answer.status ?? { socket: answer.socket, error: answer.error?.code },
  );
  return `${JSON.stringify(documents, null, 2)}\n`;
}
