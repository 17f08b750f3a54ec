#!/usr/bin/env node
/** curling-proxy: holds the output of one virtual machine, on its tap, until it may leave. */
import { once } from 'node:events';
import path from 'node:path';
import { type Capability, keepOnly } from '../common/capabilities.ts';
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
import { socketFolder } from '../common/wire/private-file.ts';
import { inspectTap, restoreTap, type TapSite } from './bridge.ts';
import { controlCommands } from './control.ts';
import { checkPrivileges } from './privileges.ts';
import { type ProxyState, TapProxy } from './tap-proxy.ts';

/** As many network cards as a guest has PCI slots for, generously. */
const TAPS_MAX = 16;

/** For links, bridges, filters and buffers; to capture; to load the filters of its packet sockets. */
const NEEDED: readonly Capability[] = ['NET_ADMIN', 'NET_RAW', 'BPF'];

const SPEC: CommandSpec = {
  program: 'curling-proxy',
  usage: '--tap TAP [--tap TAP …] [options]',
  summary: "Holds a guest's output on its taps in epochs, and releases it on command.",
  options: {
    tap: {
      type: 'string',
      multiple: true,
      value: 'TAP',
      help: 'a tap of the guest, a port of a bridge; several are held as one',
    },
    bridge: { type: 'string', value: 'BRIDGE', help: 'refuse unless the taps are on this bridge' },
    control: {
      type: 'string',
      value: 'PATH',
      help: 'the control socket (default /run/curling/proxy-TAP.sock, of the first tap)',
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
      help: 'memory for held frames, 4 to 4096; each tap has an equal share',
      default: '256',
    },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      help: 'error, warn, info, debug',
      default: 'info',
    },
    restore: { type: 'boolean', help: 'open taps that a proxy left closed, and end' },
  },
  notes: ['The control socket speaks the shape of QMP: docs/protocol.md.'],
};

async function main(line: CommandLine): Promise<number> {
  const names = tapNames(line.values.tap);
  const bridge = line.values.bridge as string | undefined;
  const initial = stateOf(line.values.initial);
  const bufferMib = wholeNumber('buffer-mib', line.values['buffer-mib'], 4 * names.length, 4096);
  const level = logLevel(line.values['log-level']);
  const warning = await keepOnly(NEEDED);
  checkPrivileges();
  const sites: TapSite[] = [];
  for (const name of names) sites.push(await inspectTap(name, bridge));
  if (line.values.restore) return restore(sites);
  const log = createLogger(SPEC.program, level);
  if (warning) log.warn(warning);
  const control = String(line.values.control ?? `/run/curling/proxy-${names[0]}.sock`);
  return serve(sites, control, { initial, bufferBytes: bufferMib * 2 ** 20 }, log);
}

function tapNames(values: unknown): string[] {
  const names = (values as string[] | undefined) ?? [];
  requiredText('tap', names[0]);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new CurlingError('CURLING_USAGE', `--tap ${twice} is given twice`);
  if (names.length <= TAPS_MAX) return names;
  const text = `--tap: expected at most ${TAPS_MAX} taps, got ${names.length}`;
  throw new CurlingError('CURLING_USAGE', text);
}

function stateOf(text: unknown): ProxyState {
  if (text === 'hold' || text === 'bypass') return text;
  const got = JSON.stringify(text);
  throw new CurlingError('CURLING_USAGE', `--initial: expected hold or bypass, got ${got}`);
}

async function restore(sites: readonly TapSite[]): Promise<number> {
  for (const site of sites) {
    const closed = await restoreTap(site);
    const { name } = site.tap;
    process.stdout.write(
      closed ? `${name} is open again\n` : `${name} was not closed by a proxy\n`,
    );
  }
  return 0;
}

async function serve(
  sites: readonly TapSite[],
  control: string,
  options: { initial: ProxyState; bufferBytes: number },
  log: Logger,
): Promise<number> {
  let starting: Promise<TapProxy>;
  const server = new QmpServer({
    program: SPEC.program,
    commands: controlCommands(() => starting),
  });
  const open = socketFolder(path.dirname(control));
  if (open) log.warn(open);
  // The socket comes first: when another proxy serves it, nothing has been touched.
  await server.listen(control);
  try {
    starting = TapProxy.start(sites, options, log);
    const proxy = await starting;
    proxy.on('pending', epoch => server.emit('OUTPUT_PENDING', { epoch }));
    proxy.on('full', epoch => server.emit('BUFFER_FULL', { epoch }));
    proxy.on('link', (tap, state) => server.emit('LINK', { tap, state }));
    sayStarted(sites, control, proxy, log);
    await untilEnd(proxy, log);
    await end(proxy, sites, log);
  } finally {
    await server.close();
  }
  return 0;
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
  const text = `${names.join(', ')}: stays closed: what the guest sends is dropped; to open it: ${SPEC.program} ${options} --restore`;
  log.warn({ tap: names.join(' ') }, text);
}

await runProgram(SPEC, main);
