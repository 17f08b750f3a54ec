/**
 * The metrics that every daemon has, for Prometheus. Names have the prefix `curling_`, base units and no unbounded labels.
 * docs/metrics.md lists all metrics.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Registry } from 'prom-client';
import { type HttpHandler, type HttpService, respond } from './http/service.ts';
import { suppressedLines } from './log-limit.ts';
import { counterFamilies, exportFamilies, type Family } from './metric-families.ts';
import type { QmpServer } from './qmp/server.ts';
import { VERSION } from './version.ts';

/**
 * How often the event loop is looked at, milliseconds. Each look wakes the process: at 20 ms that was half of what an idle
 * daemon did at all.
 */
const LOOP_RESOLUTION_MS = 100;
const NS_PER_S = 1e9;
const MS_PER_S = 1e3;

/** What is used of Node's histogram of the event loop; nanoseconds. */
type LoopDelay = Pick<ReturnType<typeof monitorEventLoopDelay>, 'count' | 'percentile' | 'reset'>;

/** Whose metrics they are, as far as they are everybody's. */
interface Common {
  program: string;
  daemon: { readonly http: HttpService | undefined };
  control: QmpServer;
  delay: LoopDelay;
}

const PROCESS: Family<Pick<Common, 'program'>>[] = [
  {
    name: 'curling_build_info',
    type: 'gauge',
    help: 'Always 1; the labels say what runs.',
    read: ({ program }) => [[{ program, version: VERSION, node: process.versions.node }, 1]],
  },
  {
    name: 'curling_process_start_time_seconds',
    type: 'gauge',
    help: 'When the daemon was started, Unix time.',
    read: () => performance.timeOrigin / MS_PER_S,
  },
  {
    name: 'curling_process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory of the daemon.',
    read: () => process.memoryUsage.rss(),
  },
];

/** Of one thread. */
const THREAD: Family<Pick<Common, 'delay'>>[] = [
  {
    name: 'curling_event_loop_delay_seconds',
    type: 'gauge',
    help: 'How late the event loop was since it was last asked: the 50th, 99th and 100th percentile of the delays.',
    read: ({ delay }) => loopDelays(delay),
  },
  {
    name: 'curling_log_lines_suppressed_total',
    type: 'counter',
    help: 'Lines that others can cause, and that were left out of the log because there were too many.',
    read: () => suppressedLines(),
  },
];

const HTTP = counterFamilies<HttpService['counters'], Pick<Common, 'daemon'>>(
  'curling_http_',
  {
    requests: 'Requests over HTTP, refused ones included.',
    refused:
      'Of these, the ones for what is not there, by a method that is not taken, or under a strange name.',
    failed: 'Of these, the ones whose answer could not be made.',
    connectionsRefused: 'HTTP connections that were closed at once because there were too many.',
    slowClientsClosed: 'HTTP connections that were closed because an answer was not read in time.',
  },
  ({ daemon }) => daemon.http?.counters,
);

const CONTROL: Family<Pick<Common, 'control'>>[] = [
  {
    name: 'curling_control_clients',
    type: 'gauge',
    help: 'Connections to the control socket now; those of hosts, for a witness.',
    read: ({ control }) => control.clients,
  },
  ...counterFamilies<QmpServer['counters'], Pick<Common, 'control'>>(
    'curling_control_',
    {
      connections: 'Connections that the control socket accepted.',
      refused: 'Connections to it that were closed at once because there were too many.',
      malformed: 'Lines on it that were no command.',
      linesTooLong: 'Lines on it that were longer than is read.',
      slowClientsClosed: 'Clients of it that were closed because they did not read.',
      commands: 'Commands on it.',
    },
    ({ control }) => control.counters,
  ),
];

/**
 * How late the event loop was since this was last asked, by percentile. None yet: no samples. Node measures from one look to
 * the next, so that a loop which is never late shows the time between two looks.
 */
export function loopDelays(delay: LoopDelay): [{ percentile: string }, number][] {
  const shares = delay.count > 0 ? [0.5, 0.99, 1] : [];
  const read = shares.map((share): [{ percentile: string }, number] => [
    { percentile: String(share * 100) },
    Math.max(0, delay.percentile(share * 100) / NS_PER_S - LOOP_RESOLUTION_MS / MS_PER_S),
  ]);
  delay.reset();
  return read;
}

/**
 * A registry with what every daemon has. `labels` stand on every metric.
 * @param control The server whose commands the daemon takes.
 */
export function createRegistry(
  program: string,
  daemon: Common['daemon'],
  control: QmpServer,
  labels: Record<string, string> = {},
): Registry {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const common = { program, daemon, control, delay: watchLoop() };
  exportFamilies(registry, [...PROCESS, ...THREAD, ...HTTP, ...CONTROL], () => common);
  return registry;
}

/** Of these, what belongs to a process of several machines, whose threads have registries of their own. */
export function createProcessRegistry(program: string, daemon: Common['daemon']): Registry {
  const registry = new Registry();
  exportFamilies(registry, [...PROCESS, ...HTTP], () => ({ program, daemon }));
  return registry;
}

/** Of these, what belongs to one thread of such a process. */
export function createThreadRegistry(control: QmpServer, labels: Record<string, string>): Registry {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const thread = { control, delay: watchLoop() };
  exportFamilies(registry, [...THREAD, ...CONTROL], () => thread);
  return registry;
}

function watchLoop(): LoopDelay {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  return delay;
}

/**
 * Answers with the text format of Prometheus.
 * @param refresh Awaited first: takes what the metrics are read from.
 */
export function metricsRoute(
  registry: Registry,
  refresh: () => Promise<void> = async () => {},
): HttpHandler {
  return async (_request, response) => {
    await refresh();
    respond(response, 200, registry.contentType, await registry.metrics());
  };
}
