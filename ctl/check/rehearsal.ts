/**
 * Does once what the datapath asks of the kernel, on interfaces of its own in a network namespace of its own: whether a
 * module can be loaded or a filter attached is known when it has been done. A process of its own (rehearsal-main.ts), so
 * that it can go there, and nothing is left when it ends.
 */
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../common/errors.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { run } from '../../common/run.ts';

/** Something that the datapath asks of the kernel. */
export interface RehearsalStep {
  what: string;
  /** Undefined: it works. */
  error: string | undefined;
  todo: string;
}

/** What is rehearsed, in this order, and what to do when it fails. */
export const REHEARSED = {
  'tap devices': 'load the module tun, or give the container /dev/net/tun',
  bridge: 'load the module bridge',
  'packet ring': 'the kernel needs CONFIG_PACKET with TPACKET_V2, and CONFIG_BPF_SYSCALL',
  'ingress filter': 'load the modules sch_ingress and cls_bpf',
} as const;
export type Rehearsed = keyof typeof REHEARSED;

const MAIN = fileURLToPath(new URL('rehearsal-main.js', import.meta.url));
const TIMEOUT_MS = 20_000;

/** Rehearses; a rehearsal that cannot be held fails in all its steps. */
export async function rehearse(): Promise<RehearsalStep[]> {
  const words = ['--net', process.execPath, MAIN];
  try {
    const text = await run('unshare', words, { timeoutMs: TIMEOUT_MS });
    return stepsOf(JSON.parse(text));
  } catch (error) {
    const why = `cannot be tried in a namespace: ${messageOf(error).split('\n')[0]}`;
    return stepsOf(Object.fromEntries(Object.keys(REHEARSED).map(what => [what, why])));
  }
}

/** @param errors By step; null: it works. */
function stepsOf(errors: unknown): RehearsalStep[] {
  const told = isObject(errors) ? errors : {};
  return Object.entries(REHEARSED).map(([what, todo]) => {
    const error = what in told ? told[what] : 'was not tried';
    return { what, error: error === null ? undefined : String(error), todo };
  });
}
