/** Waits until interfaces really pass frames: "up" comes before the carrier, the carrier before the bridge knows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../common/errors.ts';
import { run } from '../common/run.ts';
import { BRIDGE, TAPS_MAX, tapNames } from './addresses.ts';

const SETTLE_MS_MAX = 20_000;
const POLL_MS = 5;
const TAPS = tapNames(TAPS_MAX);

interface LinkState {
  ifname: string;
  operstate: string;
  linkinfo?: { info_kind?: string; info_slave_kind?: string; info_slave_data?: { state?: string } };
}

/**
 * The interfaces in the output of `ip -json -details link` that do not pass frames yet. A tap has no carrier before a
 * QEMU opens it, loopback never has a state, and a bridge that only forwards may learn of its own up to a second late.
 */
export function unsettled(json: string): string[] {
  const links = JSON.parse(json || '[]') as LinkState[];
  return links
    .filter(link => link.ifname !== 'lo' && !TAPS.includes(link.ifname))
    .filter(link => link.linkinfo?.info_kind !== 'bridge' || link.ifname === BRIDGE)
    .filter(link => link.operstate !== 'UP' || !isForwarding(link))
    .map(link => link.ifname);
}

function isForwarding({ linkinfo }: LinkState): boolean {
  return linkinfo?.info_slave_kind !== 'bridge' || linkinfo.info_slave_data?.state === 'forwarding';
}

/**
 * Resolves when every interface of the namespace passes frames.
 * @throws CurlingError CURLING_TIMEOUT after 20 s
 */
export async function untilSettled(namespace: string): Promise<void> {
  const deadlineMs = Date.now() + SETTLE_MS_MAX;
  for (;;) {
    const waiting = unsettled(await run('ip', ['-n', namespace, '-json', '-details', 'link']));
    if (waiting.length === 0) return;
    if (Date.now() > deadlineMs) {
      const text = `${namespace}: ${waiting.join(', ')} did not come up within 20 s`;
      throw new CurlingError('CURLING_TIMEOUT', text);
    }
    await sleep(POLL_MS);
  }
}
