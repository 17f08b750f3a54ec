/** Moments of the system's clock (CLOCK_REALTIME), with which the kernel stamps the frames that it receives. */
import { NativeMemory } from './native-memory.ts';
import { clockGettime } from './syscalls.ts';

export interface Moment {
  seconds: number;
  /** Of that second. */
  nanoseconds: number;
}

/** include/uapi/linux/time.h */
const CLOCK_REALTIME = 0;

/** Whether `one` is later than `other`. */
export function isLater(one: Moment, other: Moment): boolean {
  if (one.seconds !== other.seconds) return one.seconds > other.seconds;
  return one.nanoseconds > other.nanoseconds;
}

/** Tells the time in nanoseconds, as Date cannot. */
export class SystemClock {
  /** struct timespec: 0 seconds, 8 nanoseconds. */
  readonly #memory = new NativeMemory(16);

  now(): Moment {
    clockGettime(CLOCK_REALTIME, this.#memory.address);
    return { seconds: this.#memory.u32[0]!, nanoseconds: this.#memory.u32[2]! };
  }

  /** Gives the memory back. */
  close(): void {
    this.#memory.unmap();
  }
}
