/**
 * Metrics as tables: a name, a help text, and how to read the value from what a daemon keeps anyway. So a metric costs
 * nothing until it is asked for, and the work knows nothing of metrics.
 *
 * Everything that a table names is listed with its help, also while it has no value: a sample is left out then.
 */
import type { Gauge, Registry } from 'prom-client';
import type { Distribution } from './distribution.ts';

/** Labels of one sample; every value is one of a few that are known. */
export type Labels = Readonly<Record<string, string>>;

/** One value, several with labels, or none now. */
export type Reading = number | undefined | readonly (readonly [Labels, number])[];

interface FamilyHead {
  readonly name: string;
  readonly help: string;
}

/** What is read from a `Source`. */
export type Family<Source> = FamilyHead &
  (
    | { readonly type: 'counter' | 'gauge'; readonly read: (source: Source) => Reading }
    | { readonly type: 'histogram'; readonly read: (source: Source) => Distribution }
  );

/** Upper ends of a histogram's buckets, milliseconds: half a millisecond to 8.2 seconds, each twice the one before. */
export const BUCKETS_MS = Array.from({ length: 15 }, (_, i) => 2 ** (i - 1));
const MS_PER_S = 1_000;

interface Sample {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

/**
 * Registers families that are read from what `source` gives at the time; from undefined nothing is read.
 *
 * The registry asks a metric for its samples (`get` of prom-client's metrics); those made here have no state of their own.
 */
export function exportFamilies<Source>(
  registry: Registry,
  families: readonly Family<Source>[],
  source: () => Source | undefined,
): void {
  for (const family of families) {
    const { name, help, type } = family;
    const get = async () => {
      const from = source();
      const values = from === undefined ? [] : samplesOf(family, from);
      return { name, help, type, values, aggregator: 'sum' };
    };
    registry.registerMetric({ name, help, type, get, reset: () => {} } as unknown as Gauge);
  }
}

/**
 * Families of an object of counters, one for each member, in the order of `help`. All members must be there: what is counted
 * is exported.
 * @param prefix Of the names, e.g. `curling_http_`; a member `linesTooLong` becomes `curling_http_lines_too_long_total`.
 */
export function counterFamilies<Counters extends object, Source>(
  prefix: string,
  help: Readonly<Record<keyof Counters & string, string>>,
  counters: (source: Source) => Readonly<Record<keyof Counters, number>> | undefined,
): Family<Source>[] {
  const members = Object.entries(help) as [keyof Counters & string, string][];
  return members.map(([member, text]) => ({
    name: `${prefix}${snakeCase(member)}_total`,
    type: 'counter',
    help: text,
    read: source => counters(source)?.[member],
  }));
}

/** One sample for each of `all`: 1 for the one that is, 0 for the others. */
export function oneOf(label: string, all: readonly string[], is: string): [Labels, number][] {
  return all.map(each => [{ [label]: each }, each === is ? 1 : 0]);
}

/** One sample for each member of a record of counts. */
export function byReason(counts: Readonly<Record<string, number | undefined>>): [Labels, number][] {
  return Object.entries(counts).map(([reason, count]) => [{ reason }, count ?? 0]);
}

function samplesOf<Source>(family: Family<Source>, source: Source): Sample[] {
  if (family.type === 'histogram') return histogramSamples(family.name, family.read(source));
  const reading = family.read(source);
  if (reading === undefined) return [];
  if (typeof reading === 'number') return [{ labels: {}, value: reading }];
  return reading.map(([labels, value]) => ({ labels, value }));
}

function histogramSamples(name: string, distribution: Distribution): Sample[] {
  const bucket = (le: string, value: number) => ({
    labels: { le },
    value,
    metricName: `${name}_bucket`,
  });
  const { count, sumMs } = distribution;
  return [
    ...BUCKETS_MS.map(ms => bucket(String(ms / MS_PER_S), distribution.countUpTo(ms))),
    bucket('+Inf', count),
    { labels: {}, value: sumMs / MS_PER_S, metricName: `${name}_sum` },
    { labels: {}, value: count, metricName: `${name}_count` },
  ];
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);
}
