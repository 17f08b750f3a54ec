/**
 * Character devices through which a guest speaks to something outside of QEMU: a serial port on a socket, a pty, a file, a
 * guest agent's channel. Pure.
 *
 * Monitors and QEMU's gdb stub use character devices too. They are the operator's and not the guest's, and are told apart
 * by what uses them: no device does, and yet their front end is open.
 */
import type { JsonObject } from '../../../common/qmp/messages.ts';
import type { Exit } from './exit.ts';

/** Those that end inside of QEMU, or at a screen or its input. */
const INSIDE: ReadonlySet<string> = new Set([
  ...['null', 'ringbuf', 'memory', 'vc', 'gdb'],
  ...['msmouse', 'wctablet', 'qemu-vdagent', 'spicevmc', 'spiceport', 'dbus'],
]);
/** Properties of devices that name a character device. */
export const CHARDEV_PROPERTY = /^(chardev|serial)\d*$/;

/**
 * The character devices that lead outside, whoever uses them.
 * @param chardevs The answer of `query-chardev`. @param kinds That of `qom-list /chardevs`.
 */
export function outsideChardevs(
  chardevs: readonly JsonObject[],
  kinds: readonly JsonObject[],
): { name: string; kind: string }[] {
  const kindOf = new Map(kinds.map(({ name, type }) => [name, kindIn(type)]));
  return chardevs
    .map(({ label }) => ({ name: String(label), kind: kindOf.get(label) ?? 'unknown' }))
    .filter(({ kind }) => !INSIDE.has(kind));
}

/** @param used The names of all character devices that a device of the guest uses. */
export function chardevExits(
  outside: readonly { name: string; kind: string }[],
  used: ReadonlySet<string>,
): Exit[] {
  return outside
    .filter(({ name }) => used.has(name))
    .map(({ name, kind }) => ({
      name,
      what: `a character device of the guest on a ${kind}; what passes it is not held`,
    }));
}

/** `child<chardev-socket>` → `socket` */
function kindIn(type: unknown): string {
  return /^child<chardev-(.*)>$/.exec(String(type))?.[1] ?? 'unknown';
}
