/** The command line of curlingctl: which command is meant, and what it is told. Pure. */
import { closest, distance } from 'fastest-levenshtein';
import {
  type CommandLine,
  type CommandSpec,
  helpText,
  type OptionSpec,
  parseCommandLine,
} from '../common/options.ts';
import { CTL, type CtlCommand, specOf, usageError } from './command.ts';

type Commands = Readonly<Record<string, CtlCommand>>;

/** Names that differ in more letters than this are no misspelling of each other. */
const DISTANCE_MAX = 2;

export interface CtlLine {
  /** Undefined: only --help or --version was asked for. */
  name: string | undefined;
  /** Its positionals are the words behind the command's name. */
  line: CommandLine;
}

/**
 * Finds the command and what it is told. Options may stand in front of its name too.
 * @throws CurlingError CURLING_USAGE, for an option of another command too.
 */
export function parseCtlLine(commands: Commands, argv: readonly string[]): CtlLine {
  const all = parseCommandLine(anySpec(commands), argv);
  const [name] = all.positionals;
  if (name === undefined) {
    if (all.values.help || all.values.version) return { name, line: all };
    throw usageError(`expected one of ${Object.keys(commands).join(', ')}, got nothing`);
  }
  const command = commandOf(commands, name);
  const foreign = [...all.given].find(
    option => !isShared(option) && !Object.hasOwn(command.options, option),
  );
  if (foreign !== undefined) {
    const owners = Object.keys(commands).filter(other =>
      Object.hasOwn(commands[other]!.options, foreign),
    );
    throw usageError(`${name} has no --${foreign}, which belongs to ${owners.join(', ')}`, name);
  }
  const line = parseCommandLine(specOf(name, command), argv);
  const words = line.positionals.slice(1);
  if (!line.values.help) checkWords(name, command, words);
  return { name, line: { ...line, positionals: words } };
}

/** The text of `curlingctl --help`. */
export function ctlHelp(commands: Commands): string {
  const rows = Object.entries(commands).map(
    ([name, { usage, summary }]) => [`  ${name} ${usage}`.trimEnd(), summary] as const,
  );
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const list = rows.map(([left, summary]) => left.padEnd(width) + summary);
  const spec: CommandSpec = {
    program: CTL,
    usage: 'COMMAND [options]',
    summary: ['Shows and steers the protection of virtual machines.', '', ...list].join('\n'),
    options: {},
    notes: [`${CTL} COMMAND --help lists the options of a command.`],
  };
  return helpText(spec);
}

/** A command line with any option of any command: enough to find the command. */
function anySpec(commands: Commands): CommandSpec {
  const options: Record<string, OptionSpec> = Object.assign(
    {},
    ...Object.values(commands).map(command => command.options),
  );
  return { program: CTL, usage: '', summary: '', options };
}

function isShared(option: string): boolean {
  return option === 'help' || option === 'version';
}

function commandOf(commands: Commands, name: string): CtlCommand {
  if (Object.hasOwn(commands, name)) return commands[name]!;
  const names = Object.keys(commands);
  const near = closest(name, names);
  const meant = distance(name, near) <= DISTANCE_MAX ? `; did you mean ${near}?` : '';
  throw usageError(`expected one of ${names.join(', ')}, got ${name}${meant}`);
}

function checkWords(name: string, { words }: CtlCommand, given: readonly string[]): void {
  if (words === 'hosts') return;
  if (words === 'none') {
    if (given.length > 0) throw usageError(`expected options only, got ${given.join(' ')}`, name);
    return;
  }
  if (words === 'machine') {
    const [, ...more] = given;
    if (more.length === 0) return;
    throw usageError(`expected at most one machine's name, got also ${more.join(' ')}`, name);
  }
  const expected = `expected ${words.join(' or ')}`;
  if (given.length === 1 && words.includes(given[0]!)) return;
  throw usageError(`${expected}, got ${given.join(' ') || 'nothing'}`, name);
}
