/**
 * What a page tells its reader to type. A fenced block that begins with `sh` names the machines on which it is typed, in
 * the order of the page: ```` ```sh kvm1 kvm2 ````. Two further words are for what a reader does by himself:
 * `until=WORD`, type it again until it says so; `status=N`, it ends so. Pure: text in, steps out.
 */

export interface Step {
  machines: string[];
  /** Lines as they stand on the page. */
  text: string;
  /** The status that the block ends with. */
  status: number;
  /** What the output says in the end; undefined: it is typed once. */
  until: string | undefined;
  /** The line of the block on the page, from 1. */
  line: number;
}

/** Blocks that show what a program prints, or what a file says. */
const SHOWN = ['text', 'toml', 'xml', 'json', 'ini', 'yaml', 'promql', 'sql'];

/** All steps of a page, in its order. */
export function stepsOf(page: string): Step[] {
  return blocks(page).flatMap(({ info, text, line }) => {
    const [kind, ...words] = info.split(' ');
    if (kind !== 'sh' || words.length === 0) return [];
    const machines = words.filter(word => !word.includes('='));
    const value = (name: string) =>
      words.find(word => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const status = Number(value('status') ?? 0);
    return [{ machines, text, line, status, until: value('until') }];
  });
}

/** Blocks that are neither steps nor said to be something else, as `LINE: first words`. */
export function unmarkedBlocks(page: string): string[] {
  return blocks(page)
    .filter(({ info }) => {
      const [kind = '', ...words] = info.split(' ');
      return kind === 'sh' ? words.length === 0 : !SHOWN.includes(kind);
    })
    .map(({ text, line }) => `${line}: ${text.split('\n')[0]}`);
}

function blocks(page: string): { info: string; text: string; line: number }[] {
  return [...page.matchAll(/^```([^\n]*)\n(.*?)^```$/gms)].map(match => ({
    info: match[1]!.trim(),
    text: match[2]!,
    line: page.slice(0, match.index).split('\n').length,
  }));
}
