/** Counts the bytes of buffers that are asked for, so that a length which is a lie can be seen to cost nothing. */

const NAMES = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const;

let asked = 0;
let counting = false;

/** Makes every allocation of a buffer count from now on, in this process. */
function watch(): void {
  if (counting) return;
  counting = true;
  for (const name of NAMES) {
    const original = Buffer[name].bind(Buffer) as (...args: unknown[]) => Buffer;
    Buffer[name] = ((...args: unknown[]) => {
      asked += Number(args[0]);
      return original(...args);
    }) as never;
  }
  const { concat } = Buffer;
  Buffer.concat = ((list: readonly Uint8Array[], length?: number) => {
    const joined = concat.call(Buffer, list, length);
    asked += joined.length;
    return joined;
  }) as typeof Buffer.concat;
}

/** Bytes that `work` asked for; what Buffer.concat makes may count twice. Nothing else may run meanwhile. */
export function allocatedBy<Result>(work: () => Result): { bytes: number; result: Result } {
  watch();
  const before = asked;
  const result = work();
  return { bytes: asked - before, result };
}
