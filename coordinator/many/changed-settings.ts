/** Which settings of a machine have changed and are not taken over while it runs. Pure. */
import type { CoordinatorConfig } from '../config.ts';

/** What a reload takes over, and what the process alone has. */
const TAKEN_OVER: readonly (keyof CoordinatorConfig)[] = ['credentials', 'logLevel', 'http'];

/** Names of members of the configuration. */
export function settingsChanged(running: CoordinatorConfig, read: CoordinatorConfig): string[] {
  const names = Object.keys(running) as (keyof CoordinatorConfig)[];
  const text = (config: CoordinatorConfig, name: keyof CoordinatorConfig) =>
    JSON.stringify(config[name]);
  return names.filter(
    name => !TAKEN_OVER.includes(name) && text(running, name) !== text(read, name),
  );
}
