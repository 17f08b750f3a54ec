/**
 * Feeds the service manager's watchdog for as long as the work makes progress. What progress is, the daemon says; an event
 * loop that turns is not enough.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Notifier } from './notify.ts';

/** Whether the work goes on; a promise that does not resolve is a no. */
export type Progress = () => boolean | Promise<boolean>;

/** Twice in each period, as sd_watchdog_enabled(3) advises. Stops with the returned function. */
export function feedWatchdog(notifier: Notifier, progress: Progress, log: Logger): () => void {
  if (notifier.watchdogMs === undefined) return () => {};
  let asking = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      if (await progress()) notifier.alive();
      else log.warn('no progress: the watchdog is not fed');
    } catch (error) {
      log.warn(`no progress: the watchdog is not fed: ${messageOf(error)}`);
    } finally {
      asking = false;
    }
  };
  notifier.alive();
  const timer = setInterval(() => void ask(), notifier.watchdogMs / 2);
  return () => clearInterval(timer);
}
