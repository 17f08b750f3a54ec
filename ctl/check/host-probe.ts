/** Looks at this host for host.ts. Changes nothing. */
import fs from 'node:fs';
import os from 'node:os';
import { missingCapabilities } from '../../common/capabilities.ts';
import { messageOf } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import { ADDONS, installedVersion } from '../version.ts';
import { CAPABILITIES_NEEDED, type HostFacts } from './host.ts';
import { rehearse } from './rehearsal.ts';

/** include/uapi/linux/timex.h: what adjtimex(2) returns when the clock is not disciplined. */
const TIME_ERROR = 5;
/** More than sizeof(struct timex) anywhere; all zero: it is only read. */
const TIMEX_BYTES = 512;

export async function probeHost(): Promise<HostFacts> {
  const koffi = await koffiError();
  return {
    node: process.versions.node,
    koffi,
    addons: Object.fromEntries(
      Object.entries(ADDONS).flatMap(([name, need]) =>
        need === 'optional' ? [[name, installedVersion(name)]] : [],
      ),
    ),
    toolsMissing: await missingTools(['ip', 'bridge', 'tc']),
    kernel: os.release(),
    root: process.geteuid?.() === 0,
    capabilitiesMissing: missingCapabilities(text('/proc/self/status'), CAPABILITIES_NEEDED),
    rehearsal: await rehearse(),
    bridgeCallsFirewall: flag('/proc/sys/net/bridge/bridge-nf-call-iptables'),
    clockSynchronised: koffi === undefined ? await clockSynchronised() : undefined,
    clockSource: text('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    swappiness: Number(text('/proc/sys/vm/swappiness')),
    swapBytes: Number(/^SwapTotal:\s+(\d+)/m.exec(text('/proc/meminfo'))?.[1] ?? 0) * 1024,
    overcommit: Number(text('/proc/sys/vm/overcommit_memory')),
  };
}

/** What a file of the kernel says; empty when there is none. */
function text(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function flag(file: string): boolean | undefined {
  const value = text(file);
  return value === '' ? undefined : value === '1';
}

async function koffiError(): Promise<string | undefined> {
  try {
    const { default: koffi } = await import('koffi');
    koffi.load(null);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function missingTools(tools: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const tool of tools) await run(tool, ['-V']).catch(() => missing.push(tool));
  return missing;
}

async function clockSynchronised(): Promise<boolean | undefined> {
  const { default: koffi } = await import('koffi');
  const adjtimex = koffi.load(null).func('int adjtimex(void *)');
  const state = adjtimex(Buffer.alloc(TIMEX_BYTES));
  return state < 0 ? undefined : state !== TIME_ERROR;
}
