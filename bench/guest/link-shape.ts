/** Makes the replication link as slow as a real one: a token bucket at both ends, in the hosts' own namespaces. */
import type { LabHost } from '../../lab/node.ts';

/** Bits a second; undefined is whatever a veth pair carries. */
export type LinkRate = number | undefined;

/** A tenth of a millisecond's worth, and no less than a large frame of segmentation offload. */
function burstBytes(bitsPerSecond: number): number {
  return Math.max(70_000, Math.round(bitsPerSecond / 8 / 10_000));
}

/** @throws CurlingError CURLING_TOOL_FAILED in tc's words */
export async function shapeLink(hosts: readonly LabHost[], rate: LinkRate): Promise<void> {
  for (const host of hosts) {
    const at = ['dev', host.replicationInterface, 'root'];
    if (rate === undefined) await host.run('tc', ['qdisc', 'replace', ...at, 'noqueue']);
    else {
      const bucket = ['rate', `${rate}bit`, 'burst', `${burstBytes(rate)}b`, 'latency', '400ms'];
      await host.run('tc', ['qdisc', 'replace', ...at, 'tbf', ...bucket]);
    }
  }
}
