/** Gives up what cannot be ended: who waits for it is told, and the lab's end stops what is left of it. */

/** @throws the signal's reason as soon as it is aborted; else as `work` */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => {}); // Nobody waits for it any more, once it was given up.
  signal.throwIfAborted();
  let aborted = () => {};
  const end = new Promise<never>((_, reject) => {
    aborted = () => reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    signal.removeEventListener('abort', aborted);
  }
}
