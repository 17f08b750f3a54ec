/** What a hook is told: its whole environment, and the line on its standard input. Pure. */
import { cutForJson } from '../../common/shown.ts';
import type { HookEvent } from './messages.ts';

/** Where hooks find programs. Nothing is inherited: what stands in the coordinator's environment is not theirs. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Variable to member of the event's data. */
const MEMBER_OF = {
  CURLING_VM: 'vm',
  CURLING_HOST: 'host',
  CURLING_FROM: 'from',
  CURLING_TO: 'to',
  CURLING_GENERATION: 'generation',
  CURLING_EPOCH: 'epoch',
  CURLING_REASON: 'reason',
} as const;

/** The kernel refuses to execute with a longer one (MAX_ARG_STRLEN is 128 KiB); no reason needs as much. */
const VALUE_BYTES_MAX = 4096;

/**
 * The environment of a hook. Every variable is there; it is empty when the event has no such member. A reason may quote
 * others, so what is no printable text becomes a blank.
 */
export function hookEnvironment({ event, data }: HookEvent): Record<string, string> {
  const environment: Record<string, string> = { PATH, CURLING_EVENT: event };
  for (const [variable, member] of Object.entries(MEMBER_OF)) {
    const value = data[member];
    const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
    environment[variable] = cutForJson(text.replace(/\p{Cc}/gu, ' '), VALUE_BYTES_MAX);
  }
  return environment;
}

/** The event as `curlingctl events --json` prints it. */
export function hookInput({ time, event, data }: HookEvent): string {
  return `${JSON.stringify({ time, event, ...data })}\n`;
}
