/** What a command of curlingctl is: its line in the table (commands.ts), from which help, completion and man page are made. */
import { CurlingError } from '../common/errors.ts';
import type { CommandLine, CommandSpec, OptionSpec } from '../common/options.ts';

export const CTL = 'curlingctl';

export interface CtlCommand {
  /** What the words behind its name are, as in a usage line: `[VM]`. Empty: it takes none. */
  usage: string;
  /** What may stand there: names of machines, at most one; of hosts, any number; one of a list. */
  words: 'none' | 'machine' | 'hosts' | readonly string[];
  /** One sentence for --help, beginning with a verb. */
  summary: string;
  /** Its own; one of the same name in another command is of the same type. --help is everybody's. */
  options: Record<string, OptionSpec>;
  /** Further lines of --help. */
  notes?: string[];
  /** Its exit statuses where they are not those of every program: status to what it says. */
  statuses?: Readonly<Record<number, string>>;
  /** @returns The exit status; nothing for 0. */
  run(line: CommandLine): Promise<number | undefined>;
}

/** An option that several commands have: where the coordinators are. */
export const SOCKET_OPTION = {
  socket: {
    type: 'string',
    value: 'PATH',
    multiple: true,
    help: "a coordinator's control socket (default: all in /run/curling/*/)",
  },
} as const satisfies Record<string, OptionSpec>;

/** What `--socket` says. */
export function socketsIn({ values }: CommandLine): string[] {
  return (values.socket as string[] | undefined) ?? [];
}

/** An error of the command line. @param command Whose help lists what there is; undefined: that of curlingctl. */
export function usageError(text: string, command?: string): CurlingError {
  const help = command === undefined ? CTL : `${CTL} ${command}`;
  return new CurlingError('CURLING_USAGE', `${text}; ${help} --help lists what there is`);
}

/** The one command line that `curlingctl NAME` takes. */
export function specOf(name: string, command: CtlCommand): CommandSpec {
  const { usage, summary, options, notes = [], statuses = {} } = command;
  const ends = Object.entries(statuses).map(([status, what]) => `  ${status}  ${what}`);
  return {
    program: `${CTL} ${name}`,
    usage: [usage, '[options]'].filter(Boolean).join(' '),
    summary: sentence(summary),
    options,
    notes: [...notes, ...(ends.length > 0 ? ['Exit status:', ...ends] : [])],
  };
}

/** `shows x` → `Shows x.` */
function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}
