/** What a daemon does first: reads its configuration, and answers `--check-config` and `--dump-config`. */
import type { CommandLine } from '../common/options.ts';
import { type Configured, configured, readConfigured } from './configured.ts';
import { dumpText } from './dump.ts';
import type { DaemonName } from './schema.ts';

/** A configuration that can be read once more. */
export interface Configuration<Config> {
  config: Config;
  /** Where each value comes from. */
  settings: Configured['settings'];
  /**
   * The same command line with the files as they are now.
   * @throws CurlingError CURLING_CONFIG, CURLING_USAGE, and what the files that it names are refused for
   */
  reread(): Config;
}

/**
 * The configuration of a daemon; undefined when the command line asked only to look at it, which is done then.
 * @throws CurlingError CURLING_CONFIG, CURLING_USAGE
 */
export function configure<Config>(
  daemon: DaemonName,
  line: CommandLine,
  read: (line: CommandLine) => Config,
): Configuration<Config> | undefined {
  const found = configured(daemon, line);
  // A dump is for finding out what is wrong, too.
  if (line.values['dump-config'] === true) process.stdout.write(dumpText(found.settings));
  const config = readConfigured(found, read);
  if (line.values['dump-config'] === true) return undefined;
  if (line.values['check-config'] === true) {
    process.stdout.write('the configuration is right\n');
    return undefined;
  }
  return {
    config,
    settings: found.settings,
    reread: () => readConfigured(configured(daemon, line), read),
  };
}
