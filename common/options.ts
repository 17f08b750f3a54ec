/** Command lines: a table of options in, values or a usage error out. Builds on node:util's parseArgs. */
import { parseArgs } from 'node:util';
import { CurlingError, messageOf } from './errors.ts';

export interface OptionSpec {
  type: 'string' | 'boolean';
  /** May be given more than once; the value is then a list. */
  multiple?: boolean;
  short?: string;
  /** The placeholder in --help, e.g. PATH. */
  value?: string;
  help: string;
  /** All that the value may be, where it is one of a few words. For help and completion; who reads it checks it. */
  choices?: readonly string[];
  default?: string | boolean | string[];
  /** True: said on the command line alone, never in a configuration file. */
  flagOnly?: true;
}

export interface CommandSpec {
  program: string;
  /** What follows the program's name in the usage line. */
  usage: string;
  /** One sentence. */
  summary: string;
  options: Record<string, OptionSpec>;
  /** Further lines of --help. */
  notes?: string[];
}

export interface CommandLine {
  values: Record<string, string | boolean | (string | boolean)[] | undefined>;
  /** Words before `--`. */
  positionals: string[];
  /** Words after `--`, e.g. another program's command. */
  rest: string[];
  /** The options that were given; the other values are defaults. */
  given: ReadonlySet<string>;
}

/**
 * Parses `argv` (without node and script).
 * @throws CurlingError CURLING_USAGE for an unknown option, a missing value or an unexpected one.
 */
export function parseCommandLine(spec: CommandSpec, argv: readonly string[]): CommandLine {
  const options: Record<
    string,
    { type: 'string' | 'boolean'; multiple?: boolean; short?: string; default?: never }
  > = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
  };
  for (const [name, option] of Object.entries(spec.options)) {
    options[name] = {
      type: option.type,
      ...(option.multiple ? { multiple: true } : {}),
      ...(option.short ? { short: option.short } : {}),
      ...(option.default !== undefined ? { default: option.default as never } : {}),
    };
  }
  try {
    const end = argv.indexOf('--');
    const args = argv.slice(0, end < 0 ? argv.length : end);
    const how = { allowPositionals: true, strict: true, tokens: true } as const;
    const { values, positionals, tokens } = parseArgs({ args, options, ...how });
    const rest = end < 0 ? [] : argv.slice(end + 1);
    const given = new Set(tokens.flatMap(token => (token.kind === 'option' ? [token.name] : [])));
    return { values, positionals, rest, given };
  } catch (error) {
    const text = `${messageOf(error)}; ${spec.program} --help lists the options`;
    throw new CurlingError('CURLING_USAGE', text, { cause: error });
  }
}

/** The text of --help, at most one screen. */
export function helpText(spec: CommandSpec): string {
  const rows = Object.entries(spec.options).map(([name, option]) => {
    const short = option.short ? `-${option.short}, ` : '';
    const value = option.type === 'string' ? ` ${option.value ?? 'VALUE'}` : '';
    const preset =
      option.default === undefined || option.default === false
        ? ''
        : ` (default ${option.default})`;
    return [`  ${short}--${name}${value}`, `${option.help}${preset}`] as const;
  });
  rows.push(['  -h, --help', 'print this text'], ['  --version', 'print name and version']);
  const width = Math.min(34, Math.max(...rows.map(row => row[0].length)) + 2);
  const lines = rows.map(([left, right]) =>
    left.length < width ? left.padEnd(width) + right : `${left}\n${' '.repeat(width)}${right}`,
  );
  const notes = spec.notes?.length ? ['', ...spec.notes] : [];
  return [
    `Usage: ${spec.program} ${spec.usage}`,
    '',
    spec.summary,
    '',
    ...lines,
    ...notes,
    '',
  ].join('\n');
}

/**
 * A whole number from an option.
 * @throws CurlingError CURLING_USAGE when it is not one or not in [min, max].
 */
export function wholeNumber(name: string, text: unknown, min: number, max: number): number {
  const value = typeof text === 'string' && /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value) || value < min || value > max) {
    const expected = `a whole number from ${min} to ${max}`;
    throw new CurlingError(
      'CURLING_USAGE',
      `--${name}: expected ${expected}, got ${JSON.stringify(text)}`,
    );
  }
  return value;
}

/**
 * A required text option.
 * @throws CurlingError CURLING_USAGE when it is missing or empty.
 */
export function requiredText(name: string, text: unknown): string {
  if (typeof text === 'string' && text.length > 0) return text;
  throw new CurlingError('CURLING_USAGE', `--${name} is required`);
}

export interface TcpAddress {
  host: string;
  port: number;
}

/**
 * `HOST:PORT` or `[IPV6]:PORT`.
 * @throws CurlingError CURLING_USAGE
 */
export function tcpAddress(name: string, text: string): TcpAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (!host || port < 1 || port > 65_535) {
    throw new CurlingError(
      'CURLING_USAGE',
      `--${name}: expected HOST:PORT, got ${JSON.stringify(text)}`,
    );
  }
  return { host, port };
}
