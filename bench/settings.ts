/** The command line of `npm run bench`. */
import { CurlingError } from '../common/errors.ts';
import { logLevel } from '../common/log.ts';
import { type CommandLine, type CommandSpec, wholeNumber } from '../common/options.ts';

const ROUNDS_MAX = 1000;

export const BENCH: CommandSpec = {
  program: 'npm run bench --',
  usage: '[NAME…] [options]',
  summary: 'Measures what curling costs, side by side with doing nothing and with its peers.',
  options: {
    quick: { type: 'boolean', help: 'fewer and smaller runs: an impression in three minutes' },
    list: { type: 'boolean', help: 'list the scenarios and experiments, and how long they take' },
    rounds: { type: 'string', value: 'N', help: 'this many rounds of every experiment' },
    out: {
      type: 'string',
      value: 'DIR',
      help: 'where results.json and report.html go',
      default: 'build/bench',
    },
    compare: { type: 'string', value: 'OLD', help: 'say what moved since OLD, a results.json' },
    results: { type: 'string', value: 'FILE', help: 'run nothing: take these results instead' },
    docs: { type: 'boolean', help: 'write docs/benchmarks.md, from a full run' },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      help: 'of the rigs and guests: error, warn, info, debug',
      default: 'error',
    },
  },
  notes: [
    'NAME is a scenario, or SCENARIO/NAME for one experiment; without any, everything runs.',
    'Statuses: 0 done; 1 something failed, or was interrupted, or got worse since OLD;',
    '2 the command line is wrong; 4 this machine lacks something.',
  ],
};

export interface Settings {
  names: string[];
  quick: boolean;
  list: boolean;
  rounds: number | undefined;
  out: string;
  compare: string | undefined;
  results: string | undefined;
  docs: boolean;
  logLevel: string;
}

/** @throws CurlingError CURLING_USAGE for options that make no sense, alone or together. */
export function settingsOf(line: CommandLine): Settings {
  const { values } = line;
  const settings: Settings = {
    names: [...line.positionals, ...line.rest],
    quick: values.quick === true,
    list: values.list === true,
    rounds:
      values.rounds === undefined ? undefined : wholeNumber('rounds', values.rounds, 1, ROUNDS_MAX),
    out: fileName('out', values.out) ?? 'build/bench',
    compare: fileName('compare', values.compare),
    results: fileName('results', values.results),
    docs: values.docs === true,
    logLevel: logLevel(values['log-level'] ?? 'error'),
  };
  const { names, quick, rounds, results, docs } = settings;
  if (results !== undefined && (names.length > 0 || quick || rounds !== undefined))
    throw usage('--results runs nothing: give it without NAME, --quick and --rounds');
  if (docs && (names.length > 0 || quick))
    throw usage('--docs is for a full run: give it without NAME and --quick');
  return settings;
}

function fileName(option: string, value: unknown): string | undefined {
  if (value === '') throw usage(`--${option}: expected a path, got an empty one`);
  return value as string | undefined;
}

function usage(text: string): CurlingError {
  return new CurlingError('CURLING_USAGE', text);
}
