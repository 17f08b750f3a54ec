/** A status page on loopback about a machine that there is not. */
import type { ExecutionContext } from 'ava';
import { type HttpRoutes, HttpService } from '../../common/http/service.ts';
import { silentLogger } from '../../common/log.ts';
import { EventLog } from '../../coordinator/event-log.ts';
import { History } from '../../coordinator/history.ts';
import { StatusPage } from '../../coordinator/page/status-page.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { until } from '../coordinator/bench.ts';
import { status } from '../ctl/documents.ts';

const NO_TIMES = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };

/** Serves on loopback, until the test ends. */
export async function serve(t: ExecutionContext, routes: HttpRoutes) {
  const service = HttpService.start({ host: '127.0.0.1', port: 0 }, routes, silentLogger);
  t.teardown(() => service.close());
  await until('a port', () => service.port !== undefined);
  return { service, url: `http://127.0.0.1:${service.port}` };
}

/** A page whose machine the test decides about. */
export async function pageOf(t: ExecutionContext) {
  const events = new EventLog();
  const world = { status: status() as CoordinatorStatus, asked: 0, nowMs: 0 };
  const history = new History('run', 'PROT', 0);
  const page = new StatusPage({
    document: async () => {
      world.asked++;
      return world.status;
    },
    history: cursor => history.read(world.nowMs, 1_700_000_000_000 + world.nowMs, cursor),
    delays: () => NO_TIMES,
    events,
    log: silentLogger,
  });
  return { page, events, world, history, ...(await serve(t, page.routes)) };
}
