/** Waits for works that run side by side, all of them: when one fails, no other may still be under way in what follows. */

/** @throws what the first of them that failed, in their order, threw. */
export async function allSettled(works: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(works);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
