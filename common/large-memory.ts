/**
 * Makes memory of half a MiB and more return to the system when it is freed. glibc raises the size from which it maps
 * memory by itself, up to 32 MiB, with each such piece that is freed (mallopt(3), M_MMAP_THRESHOLD); from then on a pool
 * that shrinks lowers nothing but its own account. To set the size once ends that.
 */
import koffi from 'koffi';

/** malloc.h of glibc. */
const M_MMAP_THRESHOLD = -3;
const RETURNED_BYTES_MIN = 512 << 10;

/** For the whole process. Returns false, and changes nothing, where the C library has no such setting. */
export function returnLargeMemory(): boolean {
  try {
    const mallopt = koffi.load(null).func('int mallopt(int parameter, int value)');
    return mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES_MIN) === 1;
  } catch {
    return false;
  }
}
