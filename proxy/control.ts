/** The commands of the control socket; docs/protocol.md describes them. */
import { CurlingError } from '../common/errors.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import type { CommandHandler } from '../common/qmp/server.ts';
import { shown } from '../common/shown.ts';
import type { TapProxy } from './tap-proxy.ts';

/**
 * The commands of a proxy.
 * @param started Gives the proxy once it has started: commands wait for it.
 */
export function controlCommands(started: () => Promise<TapProxy>): Record<string, CommandHandler> {
  return {
    hold: async args => {
      const epoch = optionalEpoch(args);
      return (await started()).hold(epoch);
    },
    seal: async args => {
      const epoch = optionalEpoch(args);
      return (await started()).seal(epoch);
    },
    release: async args => {
      const epoch = epochOf(args);
      await (await started()).release(epoch);
    },
    discard: async () => (await started()).discard(),
    pass: async () => (await started()).pass(),
    bypass: async () => (await started()).bypass(),
    'query-status': async () => (await started()).status(),
    'query-stats': async () => (await started()).counters(),
  };
}

function optionalEpoch(args: JsonObject): number | undefined {
  return args.epoch === undefined ? undefined : epochOf(args);
}

/** @throws CurlingError CURLING_MESSAGE */
function epochOf(args: JsonObject): number {
  const { epoch } = args;
  if (Number.isSafeInteger(epoch) && (epoch as number) >= 1) return epoch as number;
  const text = `expected "epoch" as a whole number from 1, got ${shown(epoch)}`;
  throw new CurlingError('CURLING_MESSAGE', text);
}
