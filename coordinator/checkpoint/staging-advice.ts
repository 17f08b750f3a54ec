/** What to change when a guest had to wait for staging memory, from what was measured in that checkpoint. Pure. */

export interface WaitingCheckpoint {
  /** Bytes of pages in it. */
  bytes: number;
  /** Milliseconds for which the guest ran before it. */
  ranMs: number;
  /** Milliseconds of its pause, in which the link took `sentBytes` of this checkpoint and of those before it. */
  pauseMs: number;
  sentBytes: number;
  /** Bound of the staging memory. */
  boundBytes: number;
}

export interface StagingAdvice {
  /** `bandwidth`: the link carries less than the guest writes; `interval`: it does not, but too much comes at once. */
  change: 'bandwidth' | 'interval';
  text: string;
}

export function stagingAdvice(checkpoint: WaitingCheckpoint): StagingAdvice {
  const { bytes, ranMs, pauseMs, sentBytes, boundBytes } = checkpoint;
  const dirtied = bytes / Math.max(1, ranMs);
  const carried = sentBytes / Math.max(1, pauseMs);
  const facts =
    `the guest waited for staging memory of ${mebibytes(boundBytes)}: a checkpoint of ${mebibytes(bytes)}; it wrote ` +
    `${perSecond(dirtied)} while it ran, the replication link took ${perSecond(carried)}`;
  if (dirtied > carried)
    return { change: 'bandwidth', text: `${facts}: the link needs more bandwidth` };
  const more = 'take checkpoints more often (--interval-max, --fixed-interval)';
  return { change: 'interval', text: `${facts}: ${more} or raise --staging-mib` };
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** @param bytesPerMs as is */
function perSecond(bytesPerMs: number): string {
  return `${Math.round(bytesPerMs / 1000)} MB/s`;
}
