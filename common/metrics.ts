/**
 * The metrics of a daemon, for Prometheus. Most are read when they are asked for, so keeping them costs the work nothing.
 * Names have the prefix `curling_`, base units and no unbounded labels.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, Registry } from 'prom-client';
import { type HttpHandler, respond } from './http/service.ts';
import { VERSION } from './version.ts';

/** Resolution of the event loop's delay, milliseconds. */
const LOOP_RESOLUTION_MS = 100;
const NS_PER_S = 1e9;

/** A registry with what every daemon has. `labels` stand on every metric. */
export function createRegistry(program: string, labels: Record<string, string> = {}): Registry {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const registers = [registry];
  new Gauge({
    registers,
    name: 'curling_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['program', 'version', 'node'],
  }).set({ program, version: VERSION, node: process.versions.node }, 1);
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  new Gauge({
    registers,
    name: 'curling_event_loop_delay_seconds',
    help: 'How late the event loop was since it was last asked: 0.5, 0.99 and 1 of the delays.',
    labelNames: ['quantile'],
    collect() {
      if (delay.count > 0)
        for (const quantile of [0.5, 0.99, 1])
          this.set({ quantile: String(quantile) }, delay.percentile(quantile * 100) / NS_PER_S);
      delay.reset();
    },
  });
  new Gauge({
    registers,
    name: 'curling_process_resident_memory_bytes',
    help: 'Resident memory of the daemon.',
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  return registry;
}

/** Answers with the text format of Prometheus. */
export function metricsRoute(registry: Registry): HttpHandler {
  return async (_request, response) => {
    respond(response, 200, registry.contentType, await registry.metrics());
  };
}
