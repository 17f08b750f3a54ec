/**
 * How much of its time a guest works: the processor time of QEMU's vCPU threads, as the kernel counts it
 * (/proc/TID/schedstat, first number: nanoseconds on a processor; Documentation/scheduler/sched-stats.rst).
 */
import fs from 'node:fs';
import type { QmpClient } from '../../common/qmp/client.ts';
import { queryList } from './qmp-queries.ts';

const NS_PER_MS = 1e6;
const TEXT_BYTES = 96;

export class GuestLoad {
  readonly #files: number[] = [];
  readonly #cpuMs: number[];
  readonly #text = Buffer.alloc(TEXT_BYTES);
  #readAt: number;

  /**
   * @param threads Thread ids of the vCPUs. Threads that this process may not look at count as busy all the time.
   * @param now Monotonic milliseconds.
   */
  constructor(threads: readonly number[], now: number) {
    for (const thread of threads) {
      try {
        this.#files.push(fs.openSync(`/proc/${thread}/schedstat`, 'r'));
      } catch {
        this.close();
        break;
      }
    }
    this.#cpuMs = this.#files.map(file => this.#read(file));
    this.#readAt = now;
  }

  /**
   * The share of the time since the last call in which the busiest vCPU worked, 0 to 1; 1 when it cannot be known.
   * @param pausedMs How long the guest was stopped meanwhile: that time does not count.
   */
  share(now: number, pausedMs: number): number {
    const ranMs = now - this.#readAt - pausedMs;
    this.#readAt = now;
    let busiestMs = this.#files.length === 0 ? Number.POSITIVE_INFINITY : 0;
    for (const [index, file] of this.#files.entries()) {
      const cpuMs = this.#read(file);
      busiestMs = Math.max(busiestMs, cpuMs - this.#cpuMs[index]!);
      this.#cpuMs[index] = cpuMs;
    }
    // Also when it is not a number, as for a thread that has ended long ago.
    return busiestMs < ranMs ? Math.max(0, busiestMs / ranMs) : 1;
  }

  /**
   * Milliseconds of processor time that the vCPUs have used together since the last call of `share`; Infinity when it
   * cannot be known.
   */
  workedMs(): number {
    if (this.#files.length === 0) return Number.POSITIVE_INFINITY;
    const used = this.#files.map((file, index) => this.#read(file) - this.#cpuMs[index]!);
    const sum = used.reduce((total, ms) => total + ms, 0);
    return Number.isNaN(sum) ? Number.POSITIVE_INFINITY : sum;
  }

  close(): void {
    for (const file of this.#files.splice(0)) fs.closeSync(file);
  }

  /** A thread that has ended counts as busy. */
  #read(file: number): number {
    try {
      const length = fs.readSync(file, this.#text, 0, TEXT_BYTES, 0);
      const cpuMs = Number.parseInt(this.#text.toString('latin1', 0, length), 10) / NS_PER_MS;
      return Number.isNaN(cpuMs) ? Number.POSITIVE_INFINITY : cpuMs;
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }
}

/**
 * The thread ids of the vCPUs of a QEMU.
 * @throws CurlingError as queryList
 */
export async function vcpuThreads(qmp: QmpClient): Promise<number[]> {
  const cpus = await queryList(qmp, 'query-cpus-fast');
  return cpus.map(cpu => Number(cpu['thread-id']));
}
