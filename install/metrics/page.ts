/** The tables of docs/metrics.md: made from what the daemons export. Pure. */
import type { ExposedFamily } from './exposition.ts';

/** By program: what its /metrics says. */
export type Outputs = Readonly<Record<string, readonly ExposedFamily[]>>;

const EVERY = 'Every daemon';

/** Tables by heading: what all programs export, and what each has besides. */
export function metricTables(outputs: Outputs): Record<string, string> {
  const programs = Object.entries(outputs);
  const inAll = ({ name }: ExposedFamily) =>
    programs.every(([, families]) => families.some(family => family.name === name));
  const tables: Record<string, string> = {
    [EVERY]: tableOf((programs[0]?.[1] ?? []).filter(inAll)),
  };
  for (const [program, families] of programs)
    tables[program] = tableOf(families.filter(family => !inAll(family)));
  return tables;
}

function tableOf(families: readonly ExposedFamily[]): string {
  const rows = families.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |`);
  return ['| metric | type | what |', '|---|---|---|', ...rows].join('\n');
}

/** The page with its tables, one below each heading `## HEADING`, replaced. */
export function withTables(page: string, tables: Record<string, string>): string {
  let text = page;
  for (const [heading, table] of Object.entries(tables)) {
    const section = new RegExp(`(^## ${heading}$[^|]*?\\n\\n)(?:^\\|[^\\n]*\\n)+`, 'm');
    if (!section.test(text)) throw new Error(`there is no table below "## ${heading}"`);
    text = text.replace(section, (_, before: string) => `${before}${table}\n`);
  }
  return text;
}
