/**
 * The thread of one machine in a process of several (supervisor.ts): what main.ts does for a machine that has a process to
 * itself. It ends like a process: an error that nobody expected ends the thread, and the kernel's locks and sockets go with
 * it.
 */
import fs from 'node:fs';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { monotonicClock } from '../../common/clock.ts';
import {
  asCurlingError,
  CurlingError,
  type ErrorCode,
  EXIT,
  messageOf,
} from '../../common/errors.ts';
import { HttpService } from '../../common/http/service.ts';
import { createLogger, type Logger } from '../../common/log.ts';
import { counterFamilies, exportFamilies } from '../../common/metric-families.ts';
import { createThreadRegistry } from '../../common/metrics.ts';
import { reloadService } from '../../common/reload.ts';
import { COORDINATOR, type CoordinatorConfig } from '../config.ts';
import type { Gateway } from '../gateway-probe.ts';
import { Machine } from '../machine.ts';
import { LinkShare } from '../replication/link-share.ts';
import { settingsChanged } from './changed-settings.ts';
import { machineConfiguration } from './common-config.ts';
import { BEAT_MS, type FromThread, type ThreadData, type ToThread } from './messages.ts';
import { SharedGateway } from './shared-gateway.ts';
import { testFault } from './test-fault.ts';

const LINK = counterFamilies<LinkShare['counters'], LinkShare['counters']>(
  'curling_link_',
  {
    yields:
      "Times that a full copy or a large checkpoint of this machine waited for another machine's epoch.",
    turns: 'Times that it waited for its turn among those of other machines.',
  },
  counters => counters,
);

const port = parentPort!;
const { vm, line, link, fault } = workerData as ThreadData;
const say = (message: FromThread) => port.postMessage(message);

try {
  await run();
} catch (thrown) {
  const error = asCurlingError(thrown);
  // What is no CurlingError is a defect: it ends the thread with its stack.
  if (error.code === 'CURLING_INTERNAL') throw thrown;
  const lasting = error.exitStatus === EXIT.usage || error.code === 'CURLING_CONFIG';
  say({ type: 'failed', code: error.code, text: error.message, lasting });
  process.exit(error.exitStatus);
}

async function run(): Promise<void> {
  const configuration = machineConfiguration(line, vm)!;
  const { config, settings } = configuration;
  const log = createLogger(COORDINATOR.program, config.logLevel).child({ vm });
  const http = settings.get('http')?.source ?? '';
  if (path.basename(http).startsWith(`${vm}.toml:`))
    log.warn(`${http}: http is not used: a process of several machines has one for all of them`);
  const beat = (summary: string, progress: boolean) => say({ type: 'beat', summary, progress });
  let machine: Machine | undefined;
  const timer = setInterval(() => beat('starting', true), BEAT_MS);
  const end = async (status: number) => {
    clearInterval(timer);
    await machine?.close();
    process.exit(status);
  };
  // Also while it starts: what is under way then ends with the thread.
  port.on('message', (message: ToThread) => {
    if (message.type === 'end') void end(EXIT.ok);
  });
  const share = new LinkShare(link.memory, link.slot);
  machine = await Machine.open({ config, log, gateway: () => askMain(config), share });
  await machine.start();
  clearInterval(timer);
  serve(machine, log, configuration, share);
}

function serve(
  machine: Machine,
  log: Logger,
  configuration: NonNullable<ReturnType<typeof machineConfiguration>>,
  share: LinkShare,
): void {
  const { config } = configuration;
  const registry = createThreadRegistry(machine.server, { vm });
  exportFamilies(registry, LINK, () => share.counters);
  machine.export(registry);
  const httpPath = path.join(config.runDir, 'http.sock');
  // Of a thread that died; the lock of the directory is ours.
  fs.rmSync(httpPath, { force: true });
  HttpService.start({ path: httpPath }, machine.page.routes, log);
  setInterval(() => {
    testFault(vm);
    say({ type: 'beat', summary: machine.summary, progress: machine.progress });
  }, BEAT_MS);
  const answers = {
    metrics: () => registry.getMetricsAsJSON(),
    document: () => machine.document(),
  };
  port.on('message', (message: ToThread) => {
    if (message.type === 'reload') return reload(log, configuration);
    if (message.type !== 'ask') return;
    const { id } = message;
    answers[message.what]().then(
      value => say({ type: 'answer', id, value }),
      error => say({ type: 'answer', id, error: messageOf(error) }),
    );
  });
  if (fault) machine.begunAgain(fault.reason, fault.restarts);
  say({ type: 'serving', httpPath });
}

/** A configuration that is wrong changes nothing. */
function reload(
  log: Logger,
  { config, reread }: NonNullable<ReturnType<typeof machineConfiguration>>,
): void {
  try {
    const read = reread();
    const changed = settingsChanged(config, read);
    log.info(`reloaded: ${reloadService(log, config, read)}`);
    if (changed.length > 0)
      log.warn(`not taken over before this machine is ended and begun: ${changed.join(', ')}`);
  } catch (error) {
    log.error({ code: asCurlingError(error).code }, `SIGHUP: ${messageOf(error)}`);
  }
}

/** The main thread asks the gateways for us. */
function askMain({ gateways }: CoordinatorConfig): Promise<Gateway> {
  return new Promise((resolve, reject) => {
    const answer = (message: ToThread) => {
      if (message.type !== 'gateways') return;
      port.off('message', answer);
      if ('code' in message) reject(new CurlingError(message.code as ErrorCode, message.text));
      else {
        const ask = () => say({ type: 'probe' });
        resolve(new SharedGateway(message.shared, gateways, monotonicClock, ask));
      }
    };
    port.on('message', answer);
    say({ type: 'gateways', addresses: gateways });
  });
}
