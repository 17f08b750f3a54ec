/** Prometheus's own tool, which install/setup.sh unpacks below build/. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../common/run.ts';
import { inRepository } from '../../lab/paths.ts';

const UNPACKED = inRepository('build/prometheus/usr/bin/promtool');
const onPath = (process.env.PATH ?? '').split(':').map(folder => join(folder, 'promtool'));

/** Whether it is there. */
export const HAS_PROMTOOL = [UNPACKED, ...onPath].some(file => existsSync(file));

/** @throws CurlingError CURLING_TOOL_FAILED with its words, when it is not content. */
export function promtool(args: readonly string[], input?: string): Promise<string> {
  const options = { timeoutMs: 60_000, ...(input === undefined ? {} : { input }) };
  return run(existsSync(UNPACKED) ? UNPACKED : 'promtool', [...args], options);
}
