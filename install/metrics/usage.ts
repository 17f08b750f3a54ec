/** Compares what the daemons export with what the dashboard, the alerts and docs/metrics.md say. Pure. */
import { type Dashboard, expressionsOf } from './dashboard.ts';
import type { ExposedFamily } from './exposition.ts';
import type { Alert } from './rules-file.ts';

export interface Claims {
  dashboard: Dashboard;
  alerts: readonly Alert[];
}

/** The names of curling's metrics in an expression. */
export function namesIn(expr: string): string[] {
  return [...expr.matchAll(/\bcurling_[a-z0-9_]+/g)].map(match => match[0]);
}

/** What is wrong, one sentence each; empty when every metric is used and every metric that is used exists. */
export function usageProblems(
  families: readonly ExposedFamily[],
  { dashboard, alerts }: Claims,
): string[] {
  const sampled = new Map(families.flatMap(family => sampleNames(family).map(n => [n, family])));
  const used = new Set<ExposedFamily>();
  const problems: string[] = [];
  const uses = [
    ...expressionsOf(dashboard),
    ...alerts.map(({ name, expr }) => ({ where: `alert ${name}`, expr })),
  ];
  for (const { where, expr } of uses) {
    for (const name of namesIn(expr)) {
      const family = sampled.get(name);
      if (family) used.add(family);
      else problems.push(`${where} asks for ${name}, which no daemon exports`);
    }
  }
  for (const family of new Set(sampled.values()))
    if (!used.has(family)) problems.push(`${family.name} is on no panel and in no alert`);
  return problems;
}

/** A histogram is asked for by the names of its parts. */
function sampleNames({ name, type }: ExposedFamily): string[] {
  return type === 'histogram' ? ['bucket', 'sum', 'count'].map(part => `${name}_${part}`) : [name];
}
