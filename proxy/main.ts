#!/usr/bin/env node
/** curling-proxy: holds the output of one virtual machine, on its tap, until it may leave. */
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { createLogger, type Logger, logLevel } from '../common/log.ts';
import {
  type CommandLine,
  type CommandSpec,
  requiredText,
  wholeNumber,
} from '../common/options.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import { QmpServer } from '../common/qmp/server.ts';
import { inspectTap, restoreTap, type TapSite } from './bridge.ts';
import { controlCommands } from './control.ts';
import { checkPrivileges } from './privileges.ts';
import { type ProxyState, TapProxy } from './tap-proxy.ts';

const SPEC: CommandSpec = {
  program: 'curling-proxy',
  usage: '--tap TAP [options]',
  summary: "Holds a guest's output on its tap in epochs, and releases it on command.",
  options: {
    tap: { type: 'string', value: 'TAP', help: 'the tap of the guest, a port of a bridge' },
    bridge: { type: 'string', value: 'BRIDGE', help: 'refuse unless the tap is on this bridge' },
    control: {
      type: 'string',
      value: 'PATH',
      help: 'the control socket (default /run/curling/proxy-TAP.sock)',
    },
    initial: {
      type: 'string',
      value: 'STATE',
      help: 'hold: nothing leaves without a release; bypass: the kernel path',
      default: 'hold',
    },
    'buffer-mib': {
      type: 'string',
      value: 'MIB',
      help: 'memory for held frames, 1 to 4096',
      default: '256',
    },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      help: 'error, warn, info, debug',
      default: 'info',
    },
    restore: { type: 'boolean', help: 'open a tap that a proxy left closed, and end' },
  },
  notes: ['The control socket speaks the shape of QMP: docs/protocol.md.'],
};

async function main(line: CommandLine): Promise<number> {
  const name = requiredText('tap', line.values.tap);
  const bridge = line.values.bridge as string | undefined;
  const initial = stateOf(line.values.initial);
  const bufferBytes = wholeNumber('buffer-mib', line.values['buffer-mib'], 1, 4096) * 2 ** 20;
  const level = logLevel(line.values['log-level']);
  checkPrivileges();
  const site = await inspectTap(name, bridge);
  if (line.values.restore) return restore(site);
  const log = createLogger(SPEC.program, level);
  const control = String(line.values.control ?? `/run/curling/proxy-${site.tap.name}.sock`);
  return serve(site, control, { initial, bufferBytes }, log);
}

function stateOf(text: unknown): ProxyState {
  if (text === 'hold' || text === 'bypass') return text;
  const got = JSON.stringify(text);
  throw new CurlingError('CURLING_USAGE', `--initial: expected hold or bypass, got ${got}`);
}

async function restore(site: TapSite): Promise<number> {
  const closed = await restoreTap(site);
  const { name } = site.tap;
  process.stdout.write(closed ? `${name} is open again\n` : `${name} was not closed by a proxy\n`);
  return 0;
}

async function serve(
  site: TapSite,
  control: string,
  options: { initial: ProxyState; bufferBytes: number },
  log: Logger,
): Promise<number> {
  let starting: Promise<TapProxy>;
  const server = new QmpServer({
    program: SPEC.program,
    commands: controlCommands(() => starting),
  });
  fs.mkdirSync(path.dirname(control), { recursive: true, mode: 0o700 });
  // The socket comes first: when another proxy serves it, nothing has been touched.
  await server.listen(control);
  try {
    starting = TapProxy.start(site, options, log);
    const proxy = await starting;
    proxy.on('pending', epoch => server.emit('OUTPUT_PENDING', { epoch }));
    proxy.on('full', epoch => server.emit('BUFFER_FULL', { epoch }));
    proxy.on('link', state => server.emit('LINK', { state }));
    sayStarted(site, control, proxy, log);
    await untilEnd(proxy, log);
    await end(proxy, site, log);
  } finally {
    await server.close();
  }
  return 0;
}

function sayStarted(site: TapSite, control: string, proxy: TapProxy, log: Logger): void {
  const facts = { tap: site.tap.name, bridge: site.bridge, control, state: proxy.state };
  log.info(facts, site.closed ? 'started on a tap that was left closed' : 'started');
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

async function end(proxy: TapProxy, site: TapSite, log: Logger): Promise<void> {
  const { closed } = await proxy.stop();
  if (!closed) return;
  const { name } = site.tap;
  const text = `${name} stays closed: what its guest sends is dropped; to open it: ${SPEC.program} --tap ${name} --restore`;
  log.warn({ tap: name }, text);
}

await runProgram(SPEC, main);
