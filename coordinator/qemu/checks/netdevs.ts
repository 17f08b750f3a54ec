/**
 * Network back ends that no proxy holds. QEMU tells them in the words of its monitor alone, `info network`. Pure.
 *
 *   net0: index=0,type=nic,model=virtio-net-pci,macaddr=…        a card of the guest
 *    \ t0: index=0,type=tap,ifname=tap0,script=no,…              what it is connected to
 *   hub 0                                                        then ` \ PORT` or ` \ PORT: NETDEV: …`
 *
 * vhost-net needs no word here: it puts frames on the same tap, where the proxy takes them.
 */
import type { Exit } from './exit.ts';

export interface Netdev {
  id: string;
  /** `tap`, `user`, `socket`, `vhost-user`, … */
  type: string;
  /** Of a tap that QEMU opened itself. */
  ifname: string | undefined;
}

const LINE = /([^\s:\\]+): index=\d+,type=([\w-]+)(?:,(.*))?$/;
const NO_BACK_END: ReadonlySet<string> = new Set(['nic', 'hubport']);

/** @param text The answer of `info network`. */
export function parseNetwork(text: string): Netdev[] {
  const found = new Map<string, Netdev>();
  for (const line of text.split(/\r?\n/)) {
    const [, id, type, rest = ''] = LINE.exec(line) ?? [];
    if (!id || !type || NO_BACK_END.has(type)) continue;
    // The queues of a multi-queue device are lines of their own.
    found.set(`${id} ${type}`, { id, type, ifname: /(?:^|,)ifname=([^,]+)/.exec(rest)?.[1] });
  }
  return [...found.values()];
}

/**
 * @param held The taps that the proxy holds.
 * @param opened The taps that QEMU's process has open, for those that QEMU was handed; undefined when it cannot be seen.
 */
export function netdevExits(
  netdevs: readonly Netdev[],
  held: readonly string[],
  opened: readonly string[] | undefined,
): Exit[] {
  return netdevs.flatMap(({ id, type, ifname }) => {
    if (type !== 'tap') return [{ name: id, what: `network through ${type}; no proxy holds it` }];
    const taps = ifname === undefined ? opened : [ifname];
    if (!taps?.length) return [{ name: id, what: 'a tap that cannot be told from here' }];
    const free = taps.filter(tap => !held.includes(tap));
    if (free.length === 0) return [];
    return [{ name: id, what: `network through ${free.join(', ')}; no proxy holds it` }];
  });
}
