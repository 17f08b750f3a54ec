/** Runs a tool (ip, bridge, tc) to its end and turns every failure into a coded error. */
import { execFile } from 'node:child_process';
import { CurlingError } from './errors.ts';

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
      { timeout: options.timeoutMs ?? 10_000, maxBuffer: 4 << 20, encoding: 'utf8' },
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
    // A tool may end before it has read its input; its exit status says how that went.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
