/** Runs a tool (ip, bridge, tc) to its end and turns every failure into a coded error. */
import { execFile } from 'node:child_process';
import { CurlingError } from './errors.ts';

/**
 * The environment for system tools: PATH without the folders that npm puts in front, which hold other programs of the
 * same names (`nft` of @vercel/nft), and with the sbin folders, which are often missing.
 */
export function toolEnvironment(): NodeJS.ProcessEnv {
  const folders = (process.env.PATH ?? '/usr/bin:/bin').split(':');
  const kept = folders.filter(folder => !folder.endsWith('/node_modules/.bin'));
  return { ...process.env, PATH: [...kept, '/usr/sbin', '/sbin'].join(':') };
}

export interface RunOptions {
  /** Written to the tool's standard input. */
  input?: string;
  /** Milliseconds after which the tool is killed. Default 10,000. */
  timeoutMs?: number;
}

/**
 * Runs `tool` with `args` and returns its standard output, at most 4 MiB.
 * @throws CurlingError CURLING_TOOL_MISSING when the tool is not installed, CURLING_TOOL_FAILED otherwise, with what
 *   the tool wrote to standard error.
 */
export function run(
  tool: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      tool,
      args,
      {
        env: toolEnvironment(),
        timeout: options.timeoutMs ?? 10_000,
        maxBuffer: 4 << 20,
        encoding: 'utf8',
      },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        if (error.code === 'ENOENT') {
          const text = `${tool} is not installed or not on PATH; install it (Debian: iproute2 has ip, bridge and tc)`;
          return reject(new CurlingError('CURLING_TOOL_MISSING', text, { cause: error }));
        }
        const said = stderr.trim() || error.message;
        reject(
          new CurlingError('CURLING_TOOL_FAILED', `${tool} ${args.join(' ')}: ${said}`, {
            cause: error,
          }),
        );
      },
    );
    // A tool that ends before it has read its input says why by its status, not by this pipe's error.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}
