/**
 * The log of a daemon, one JSON object per line on stderr. Levels say what the reader should do: error, act now; warn,
 * look soon; info, a rare change of state; debug, for developers. Never a line per packet or per epoch above debug.
 */
import pino from 'pino';
import { CurlingError } from './errors.ts';

export type Logger = pino.Logger;

/** A logger for one program. The level comes from `level` (pino's names, default info). */
export function createLogger(program: string, level = 'info'): Logger {
  return pino(
    {
      name: program,
      level,
      base: { program, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ fd: 2, sync: true }),
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
