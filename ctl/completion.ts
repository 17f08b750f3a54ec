/** `curlingctl completion bash`: prints what completes a command line, made from the table of commands. */
import type { OptionSpec } from '../common/options.ts';
import { CTL, type CtlCommand, usageError } from './command.ts';

const SHELLS = ['bash'] as const;
/** Placeholders of options whose value is a path. */
const IS_PATH = /^(PATH|FILE|DIR|PROGRAM)$/;

/** @param commands Gives the table, of which this command is a part. */
export function completionCommand(
  commands: () => Readonly<Record<string, CtlCommand>>,
): CtlCommand {
  return {
    usage: 'bash',
    words: SHELLS,
    summary: 'prints what lets a shell complete command lines',
    options: {},
    notes: [
      'The package puts it where bash finds it. By hand: eval "$(curlingctl completion bash)"',
    ],
    async run({ positionals: [shell] }) {
      if (shell !== 'bash') throw usageError(`expected ${SHELLS.join(' or ')}`, 'completion');
      process.stdout.write(bashCompletion(commands()));
      return undefined;
    },
  };
}

/**
 * A function for bash's `complete` (bash(1), Programmable Completion). Machines are those that have a coordinator here or
 * a file below /etc/curling/vm. Pure.
 */
export function bashCompletion(commands: Readonly<Record<string, CtlCommand>>): string {
  const names = Object.keys(commands);
  const valued = new Set(
    Object.values(commands).flatMap(({ options }) =>
      Object.keys(options).filter(name => options[name]!.type === 'string'),
    ),
  );
  const values = [...valued].map(name => `--${name}`).join('|') || '--';
  return `# Completion for ${CTL}; made by: ${CTL} completion bash
_curling_machines() {
  local path
  # Only what can be a machine's name: compgen would expand the rest.
  for path in /run/curling/*/coordinator.sock; do
    [ ! -e "$path" ] || basename "$(dirname "$path")"
  done | grep -Ex '[A-Za-z0-9._-]+' || :
  for path in /etc/curling/vm/*.toml; do
    [ ! -e "$path" ] || basename "$path" .toml
  done | grep -Ex '[A-Za-z0-9._-]+' || :
}
_curlingctl() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command='' at words
  for ((at = 1; at < COMP_CWORD; at++)); do
    case \${COMP_WORDS[at]} in
      ${values}) ((at++)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[at]}; break ;;
    esac
  done
  case $before in
${optionCases(commands)}
  esac
  case $command in
    '') words='${names.join(' ')} --help --version' ;;
${names.map(name => commandCase(name, commands[name]!)).join('\n')}
    *) words= ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _curlingctl ${CTL}
`;
}

/** What the value of an option may be: one of a list, or a path. */
function optionCases(commands: Readonly<Record<string, CtlCommand>>): string {
  const options: Record<string, OptionSpec> = Object.assign(
    {},
    ...Object.values(commands).map(command => command.options),
  );
  return Object.entries(options)
    .filter(([, { type }]) => type === 'string')
    .map(([name, { value = '', choices }]) => {
      const from = choices ? `-W '${choices.join(' ')}'` : IS_PATH.test(value) ? '-f' : undefined;
      const reply = from ? `mapfile -t COMPREPLY < <(compgen ${from} -- "$word"); ` : '';
      return `    --${name}) ${reply}return ;;`;
    })
    .join('\n');
}

function commandCase(name: string, { words, options }: CtlCommand): string {
  const own = Object.keys(options).map(option => `--${option}`);
  const flags = [...own, '--help'].join(' ');
  const more =
    words === 'machine'
      ? '$(_curling_machines) '
      : Array.isArray(words)
        ? `${words.join(' ')} `
        : '';
  return `    ${name}) words="${more}${flags}" ;;`;
}
