/** Metrics of several threads as those of one process: each sample has the label of its machine. Pure. */
import { Registry } from 'prom-client';
import type { Labels } from '../../common/metric-families.ts';

/** One metric as prom-client gives it (`getMetricsAsJSON`), which can be sent to another thread. */
export interface MetricDocument {
  name: string;
  help: string;
  type: unknown;
  values: readonly { labels: Labels; value: number; metricName?: string }[];
  aggregator?: string;
}

/** The text format of Prometheus. A metric that several have stands there once, with the samples of all. */
export function mergedText(documents: readonly (readonly MetricDocument[])[]): Promise<string> {
  const merged = new Map<string, MetricDocument>();
  for (const metric of documents.flat()) {
    const values = [...(merged.get(metric.name)?.values ?? []), ...metric.values];
    merged.set(metric.name, { ...metric, values });
  }
  const registry = new Registry();
  for (const metric of merged.values()) {
    const get = async () => metric;
    registry.registerMetric({ ...metric, get, reset: () => {} } as never);
  }
  return registry.metrics();
}
