#!/usr/bin/env node
/** curling-proxy: holds the output of one virtual machine, on its tap, until it may leave. */
import { once } from 'node:events';
import path from 'node:path';
import { type Capability, keepOnly } from '../common/capabilities.ts';
import { Daemon } from '../common/daemon.ts';
import { type CurlingError, EXIT } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import { createRegistry, metricsRoute } from '../common/metrics.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import { QmpServer } from '../common/qmp/server.ts';
import { reloadService } from '../common/reload.ts';
import { socketFolder } from '../common/wire/private-file.ts';
import { type Configuration, configure } from '../config/configure.ts';
import { inspectTap, restoreTap, type TapSite } from './bridge.ts';
import { PROXY, type ProxyConfig, proxyConfig } from './config.ts';
import { controlCommands } from './control.ts';
import { exportProxy } from './metrics.ts';
import { checkPrivileges } from './privileges.ts';
import { Recording } from './recording.ts';
import { TapProxy } from './tap-proxy.ts';

/** For links, bridges, filters and buffers; to capture; to load the filters of its packet sockets. */
const NEEDED: readonly Capability[] = ['NET_ADMIN', 'NET_RAW', 'BPF'];

await runProgram(PROXY, async line => {
  const configuration = configure('proxy', line, proxyConfig);
  if (!configuration) return EXIT.ok;
  const { config } = configuration;
  const warning = await keepOnly(NEEDED);
  checkPrivileges();
  const sites: TapSite[] = [];
  for (const name of config.taps) sites.push(await inspectTap(name, config.bridge));
  if (config.restore) return restore(sites);
  const daemon = await Daemon.open({ program: PROXY.program, logLevel: config.logLevel });
  if (warning) daemon.log.warn(warning);
  return serve(sites, configuration, daemon);
});

async function restore(sites: readonly TapSite[]): Promise<number> {
  for (const site of sites) {
    const closed = await restoreTap(site);
    const { name } = site.tap;
    process.stdout.write(
      closed ? `${name} is open again\n` : `${name} was not closed by a proxy\n`,
    );
  }
  return EXIT.ok;
}

async function serve(
  sites: readonly TapSite[],
  configuration: Configuration<ProxyConfig>,
  daemon: Daemon,
): Promise<number> {
  const { config } = configuration;
  const { log } = daemon;
  let starting: Promise<TapProxy>;
  let recording: Recording | undefined;
  const server = new QmpServer({
    program: PROXY.program,
    commands: controlCommands(() => starting),
  });
  const open = socketFolder(path.dirname(config.control));
  if (open) log.warn(open);
  // The socket comes first: when another proxy serves it, nothing has been touched.
  await server.listen(config.control);
  try {
    const taps = sites.map(({ tap, bridge }) => ({ name: tap.name, bridge }));
    recording = config.record && Recording.start({ ...config.record, taps }, log);
    starting = TapProxy.start(sites, { ...config, recording }, log);
    const proxy = await starting;
    proxy.on('pending', epoch => server.emit('OUTPUT_PENDING', { epoch }));
    proxy.on('full', epoch => server.emit('BUFFER_FULL', { epoch }));
    proxy.on('link', (tap, state) => server.emit('LINK', { tap, state }));
    sayStarted(sites, config.control, proxy, log);
    serveOthers(proxy, server, configuration, daemon);
    await untilEnd(proxy, log);
    await end(proxy, sites, log);
  } finally {
    await recording?.close();
    await daemon.close();
    await server.close();
  }
  return EXIT.ok;
}

function serveOthers(
  proxy: TapProxy,
  server: QmpServer,
  configuration: Configuration<ProxyConfig>,
  daemon: Daemon,
): void {
  const { config } = configuration;
  const registry = createRegistry(PROXY.program, daemon, server, { tap: config.taps[0]! });
  const refresh = exportProxy(registry, proxy);
  daemon.serve({
    http: config.http,
    routes: { '/metrics': metricsRoute(registry, refresh) },
    status: () => `${config.taps.join(', ')}: ${proxy.state}`,
    // The datapath's thread answers: it turns, and so does this one.
    progress: async () => (await proxy.status()) !== undefined,
    reload: () => reloadService(daemon.log, config, configuration.reread()),
    dump: async () => ({ ...(await proxy.status()), ...(await proxy.counters()) }),
  });
}

function sayStarted(
  sites: readonly TapSite[],
  control: string,
  proxy: TapProxy,
  log: Logger,
): void {
  for (const site of sites) {
    const facts = { tap: site.tap.name, bridge: site.bridge, control, state: proxy.state };
    log.info(facts, site.closed ? 'started on a tap that was left closed' : 'started');
  }
}

/** @throws CurlingError the failure of the proxy. */
async function untilEnd(proxy: TapProxy, log: Logger): Promise<void> {
  const failure = once(proxy, 'failed').then(([error]) => error as CurlingError);
  const ended = await Promise.race([failure, untilTerminated()]);
  if (typeof ended === 'string') {
    log.info({ signal: ended }, 'ending');
    return;
  }
  await proxy.stop().catch(() => undefined);
  throw ended;
}

async function end(proxy: TapProxy, sites: readonly TapSite[], log: Logger): Promise<void> {
  const { closed } = await proxy.stop();
  if (!closed) return;
  const names = sites.map(site => site.tap.name);
  const options = names.map(name => `--tap ${name}`).join(' ');
  const text = `${names.join(', ')}: stays closed: what the guest sends is dropped; to open it: ${PROXY.program} ${options} --restore`;
  log.warn({ tap: names.join(' ') }, text);
}
