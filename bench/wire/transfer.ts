/** One transfer between two processes of their own, and what each of them used for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { inRepository } from '../../lab/paths.ts';
import { ToolProcess } from '../rig/tool-process.ts';
import type { Values } from '../scenario.ts';
import { isStream, type Way } from './ways.ts';
import type { Share } from './window.ts';

export interface Transfer {
  way: Way;
  secure: boolean;
  /** Milliseconds that do not count, from the first byte, and then those that do. */
  warmMs: number;
  ms: number;
}

/** Megabytes per second as the drain saw them, and the processor milliseconds of both ends for a gigabyte. */
export async function transfer({ way, secure, warmMs, ms }: Transfer): Promise<Values> {
  const folder = mkdtempSync('/dev/shm/curling-bench-wire-');
  const ends: ToolProcess[] = [];
  const start = (role: string, more: string[] = []) => {
    const program = [process.execPath, inRepository('build/bench/wire/end.js')];
    const how = ['--role', role, '--way', way, ...(secure ? ['--tls'] : []), ...more];
    const times = ['--warm', String(warmMs), '--ms', String(ms)];
    const end = new ToolProcess(`${role} of ${way}`, [...program, ...how, ...times], {});
    ends.push(end);
    return end;
  };
  try {
    const [first, second] = isStream(way) ? ['source', 'drain'] : ['drain', 'source'];
    const listening = start(first!, ['--directory', join(folder, 'store')]);
    const { port } = await listening.said('ready', 20_000);
    start(second!, ['--port', String(port)]);
    const timeoutMs = warmMs + ms + 30_000;
    const shares = await Promise.all(ends.map(end => end.said('result', timeoutMs)));
    const [one, other] = shares as unknown as [Share, Share];
    return valuesOf(...(isStream(way) ? ([one, other] as const) : ([other, one] as const)));
  } finally {
    await Promise.all(ends.map(end => end.end()));
    rmSync(folder, { recursive: true, force: true });
  }
}

function valuesOf(source: Share, drain: Share): Values {
  const perGigabyte = ({ bytes, cpuMs }: Share) => (cpuMs / bytes) * 1e9;
  return {
    rate: drain.bytes / drain.ms / 1000,
    'source-cpu': perGigabyte(source),
    'drain-cpu': perGigabyte(drain),
  };
}
