/**
 * Compiles the traffic tools on first use. They lie in a folder named by a digest of their sources, so they are built
 * again when one changes, and two builders at once do not disturb each other.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from '../../common/run.ts';
import { inRepository } from '../../lab/paths.ts';

const SOURCES = inRepository('bench/rig/tools');
const CACHE = inRepository('build/rig-tools');
const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror'];
const COMPILE_MS_MAX = 120_000;

/**
 * The folder with the tools, built if need be (about two seconds).
 * @throws CurlingError CURLING_TOOL_MISSING, CURLING_TOOL_FAILED when the compiler is missing or fails.
 */
export async function buildTools(): Promise<string> {
  const names = readdirSync(SOURCES).sort();
  const directory = join(CACHE, digestOf(names));
  if (existsSync(directory)) return directory;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, '.new-'));
  try {
    for (const name of names.filter(name => name.endsWith('.c'))) {
      const output = join(work, name.slice(0, -2));
      await run('gcc', [...FLAGS, '-o', output, join(SOURCES, name)], {
        timeoutMs: COMPILE_MS_MAX,
      });
    }
    renameSync(work, directory);
  } catch (error) {
    if (!existsSync(directory)) throw error; // Otherwise somebody else was first, with the same.
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return directory;
}

function digestOf(names: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(FLAGS));
  for (const name of names) hash.update(`${name}\n`).update(readFileSync(join(SOURCES, name)));
  return hash.digest('hex').slice(0, 16);
}
