/** The RAM of a guest as its QEMU has it mapped, whatever backs it: read from the process itself. */
import fs from 'node:fs';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';

/** A file, and where in it the memory begins. */
export interface MemoryPlace {
  path: string;
  offset: number;
}

/** In huge pages, the end of a mapping is rounded up. */
const HUGE_BYTES = 2 << 20;

/** Where a process has so many bytes mapped for reading and writing: proc_pid_maps(5). It must be one place. */
export function memoryOf(pid: number, bytes: number): MemoryPlace {
  const sizes = new Set([bytes, Math.ceil(bytes / HUGE_BYTES) * HUGE_BYTES]);
  const found: MemoryPlace[] = [];
  for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    const offset = Number.parseInt(from, 16);
    if (sizes.has(Number.parseInt(to, 16) - offset))
      found.push({ path: `/proc/${pid}/mem`, offset });
  }
  if (found.length === 1) return found[0]!;
  throw new Error(`process ${pid} has ${found.length} mappings of ${bytes} bytes`);
}

/** Fills `into` from there. */
export function readMemory({ path, offset }: MemoryPlace, into: Buffer): Buffer {
  const file = fs.openSync(path, 'r');
  try {
    for (let at = 0; at < into.length; ) {
      const got = fs.readSync(file, into, at, into.length - at, offset + at);
      if (got === 0) throw new Error(`${path} ends after ${at} bytes`);
      at += got;
    }
    return into;
  } finally {
    fs.closeSync(file);
  }
}

/** The numbers of the pages that differ, up to `max`. */
export function differentPages(one: Buffer, other: Buffer, max = 10): number[] {
  const pages: number[] = [];
  for (let at = 0; at < one.length && pages.length < max; at += PAGE_BYTES) {
    if (one.compare(other, at, at + PAGE_BYTES, at, at + PAGE_BYTES) !== 0)
      pages.push(at / PAGE_BYTES);
  }
  return pages;
}
