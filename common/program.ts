/** The frame of every curling command: --help, --version, coded errors on stderr, exit statuses. */
import { asCurlingError, EXIT } from './errors.ts';
import { type CommandLine, type CommandSpec, helpText, parseCommandLine } from './options.ts';
import { VERSION } from './version.ts';

/**
 * Runs `main` with the parsed command line and sets the exit status; returns when `main` has ended. A thrown error is
 * printed as `program: CODE: message`.
 */
export function runProgram(
  spec: CommandSpec,
  main: (line: CommandLine) => Promise<number>,
): Promise<void> {
  return withExitStatus(spec.program, async () => {
    const line = parseCommandLine(spec, process.argv.slice(2));
    if (!line.values.help && !line.values.version) return main(line);
    process.stdout.write(line.values.help ? helpText(spec) : versionLine(spec.program));
    return EXIT.ok;
  });
}

/** What `--version` prints. */
export function versionLine(program: string): string {
  return `${program} ${VERSION} (node ${process.versions.node})\n`;
}

/** As `runProgram`, for a program that reads its command line by itself. */
export async function withExitStatus(program: string, main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (thrown) {
    const error = asCurlingError(thrown);
    process.stderr.write(`${program}: ${error.code}: ${error.message}\n`);
    if (error.code === 'CURLING_INTERNAL' && thrown instanceof Error)
      process.stderr.write(`${thrown.stack}\n`);
    process.exitCode = error.exitStatus;
  }
}

/** Resolves with the name of the first SIGTERM or SIGINT. A second one ends the process at once. */
export function untilTerminated(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (asked) process.exit(1);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
