/**
 * The log of a daemon, one JSON object per line on stderr. Levels say what the reader should do: error, act now; warn,
 * look soon; info, a rare change of state; debug, for developers. Never a line per packet or per epoch above debug.
 */
import fs from 'node:fs';
import pino from 'pino';
import { CurlingError } from './errors.ts';

export type Logger = pino.Logger;

/** pino's levels as syslog(3) has them. */
const PRIORITIES: readonly (readonly [fromLevel: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
  [0, 7],
];

/**
 * Whether standard error goes to the journal, told by JOURNAL_STREAM (systemd.exec(5)): device and inode of the stream, so
 * that a variable which was only inherited is not believed.
 */
export function toJournal(environment: NodeJS.ProcessEnv = process.env): boolean {
  const { dev, ino } = fs.fstatSync(2);
  return environment.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** The prefix `<N>` by which the journal knows a line's priority (sd-daemon(3)). */
export function journalPrefix(level: number): string {
  return `<${PRIORITIES.find(([from]) => level >= from)![1]}>`;
}

/** Puts its priority in front of each line, which pino writes one at a time. */
function journalStream(destination: pino.DestinationStream): pino.DestinationStream {
  const stream = {
    // pino sets it before each line, for streams that ask for it by this symbol.
    lastLevel: 0,
    [Symbol.for('pino.metadata')]: true,
    write(line: string): void {
      destination.write(journalPrefix(stream.lastLevel) + line);
    },
  };
  return stream;
}

/** A logger for one program. The level comes from `level` (pino's names, default info). */
export function createLogger(program: string, level = 'info'): Logger {
  const stderr = pino.destination({ fd: 2, sync: true });
  return pino(
    {
      name: program,
      level,
      base: { program, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    toJournal() ? journalStream(stderr) : stderr,
  );
}

const LEVELS = ['error', 'warn', 'info', 'debug'];

/**
 * The level that `--log-level` names.
 * @throws CurlingError CURLING_USAGE
 */
export function logLevel(value: unknown): string {
  if (typeof value === 'string' && LEVELS.includes(value)) return value;
  const expected = `one of ${LEVELS.join(', ')}`;
  throw new CurlingError(
    'CURLING_USAGE',
    `--log-level: expected ${expected}, got ${JSON.stringify(value)}`,
  );
}

/** For tests and for tools that print their own output. */
export const silentLogger: Logger = pino({ level: 'silent' });
