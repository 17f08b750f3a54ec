/** The commands of curlingctl and their options as lists in mdoc(7), from the table that it runs by. Pure. */
import type { OptionSpec } from '../../common/options.ts';
import type { CtlCommand } from '../../ctl/command.ts';
import { capital, inline } from './mdoc.ts';

/** All commands, each with what it does, its options and its exit statuses. */
export function commandList(commands: Readonly<Record<string, CtlCommand>>): string {
  const items = Object.entries(commands).map(([name, command]) =>
    [
      `.It Cm ${name}${words(command.usage)}`,
      `${inline(capital(command.summary))}.`,
      ...(command.notes ?? []).map(note => inline(note)),
      ...tagged(Object.entries(command.options).map(([option, spec]) => optionItem(option, spec))),
      ...statusItems(command),
    ].join('\n'),
  );
  return tagged(items).join('\n');
}

/** `[VM]` → ` Op Ar VM`, `HOST…` → ` Ar HOST ...` */
function words(usage: string): string {
  return usage
    .split(' ')
    .filter(word => word !== '')
    .map(word => {
      const name = word.replace(/^\[|\]$/g, '').replace(/…$/, ' ...');
      return /^[A-Z]/.test(name)
        ? `${word.startsWith('[') ? ' Op' : ''} Ar ${name}`
        : ` Cm ${name}`;
    })
    .join('');
}

function optionItem(name: string, { type, value, help, default: preset }: OptionSpec): string {
  const argument = type === 'string' ? ` Ar ${value ?? 'VALUE'}` : '';
  const said = preset === undefined ? '' : `\n.Pq default: ${preset}`;
  return `.It Fl Fl ${name}${argument}\n${inline(capital(help))}.${said}`;
}

function statusItems({ statuses }: CtlCommand): string[] {
  if (!statuses) return [];
  const items = Object.entries(statuses).map(([status, what]) => `.It ${status}\n${inline(what)}`);
  return ['.Pp', 'It ends with', ...tagged(items)];
}

function tagged(items: readonly string[]): string[] {
  return items.length === 0 ? [] : ['.Bl -tag -width indent', ...items, '.El'];
}
