/**
 * Waits until every processor has finished the frame that it was handling.
 *
 * The kernel handles a received frame from its packet sockets to its ingress filters without a pause: bottom halves are
 * off, so no thread runs on that processor meanwhile. A thread that has run on every processor once therefore knows
 * that no frame is half way any more. Closing a packet socket waits for the same (synchronize_net), but takes 8 to 30 ms
 * instead of a fraction of one. On a real-time kernel bottom halves can be interrupted; there only closing will do.
 */
import fs from 'node:fs';
import { NativeMemory } from './native-memory.ts';
import { schedGetAffinity, schedSetAffinity } from './syscalls.ts';

/** As many processors as the C library's cpu_set_t has. */
const PROCESSORS_MAX = 1024;
const MASK_BYTES = PROCESSORS_MAX / 8;

/** The numbers in a list such as `0-3,5`. */
export function parseProcessors(list: string): number[] {
  const processors: number[] = [];
  for (const range of list.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (!match) continue;
    const last = Math.min(Number(match[2] ?? match[1]), PROCESSORS_MAX - 1);
    for (let processor = Number(match[1]); processor <= last; processor++) {
      processors.push(processor);
    }
  }
  return processors;
}

/**
 * Runs the calling thread on every processor once.
 * @returns Whether it could: not on a real-time kernel, nor when the process is kept to some processors.
 */
export function crossAllProcessors(): boolean {
  if (fs.existsSync('/sys/kernel/realtime')) return false;
  const processors = parseProcessors(onlineProcessors());
  const memory = new NativeMemory(2 * MASK_BYTES);
  try {
    const { address, bytes } = memory;
    const size = schedGetAffinity(0, MASK_BYTES, address);
    if (size < 0) return false;
    const mask = bytes.subarray(MASK_BYTES, 2 * MASK_BYTES);
    const crossed = processors.every(processor => {
      mask.fill(0);
      mask[processor >>> 3] = 1 << (processor & 7);
      return schedSetAffinity(0, MASK_BYTES, address + MASK_BYTES) >= 0;
    });
    schedSetAffinity(0, MASK_BYTES, address);
    return crossed && processors.length > 0;
  } finally {
    memory.unmap();
  }
}

function onlineProcessors(): string {
  try {
    return fs.readFileSync('/sys/devices/system/cpu/online', 'utf8');
  } catch {
    return '';
  }
}
