/** Reads the text format of Prometheus, version 0.0.4, as curling writes it. Pure. */

export interface ExposedSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ExposedFamily {
  name: string;
  type: string;
  help: string;
  samples: ExposedSample[];
}

const HISTOGRAM_SUFFIX = /_(bucket|sum|count)$/;
const SAMPLE = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /([a-z_][a-z0-9_]*)="((?:[^"\\]|\\.)*)"/gi;

/** @throws Error naming the line that cannot be read, or that belongs to no family. */
export function parseExposition(text: string): ExposedFamily[] {
  const families: ExposedFamily[] = [];
  for (const line of text.split('\n')) {
    const head = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (head) take(families, head[1]!, head[2]!, head[3]!);
    else if (line !== '') addSample(families, line);
  }
  return families;
}

/** HELP begins a family, TYPE follows. */
function take(families: ExposedFamily[], word: string, name: string, rest: string): void {
  if (word === 'HELP') families.push({ name, type: '', help: rest, samples: [] });
  else if (families.at(-1)?.name === name) families.at(-1)!.type = rest;
  else throw new Error(`TYPE of ${name} does not follow its HELP`);
}

function addSample(families: ExposedFamily[], line: string): void {
  const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
  const family = families.at(-1);
  const own = family?.type === 'histogram' ? name?.replace(HISTOGRAM_SUFFIX, '') : name;
  if (!name || !family || own !== family.name) throw new Error(`no sample of its family: ${line}`);
  const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label!, text!]);
  family.samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) });
}
