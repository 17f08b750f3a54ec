/** In which order variants run. */

/**
 * The order of one round: the first is each in turn, and every other round goes backwards, so that none is always first
 * and none always follows the same one.
 * @param round from 0
 */
export function orderOf<T>(variants: readonly T[], round: number): T[] {
  const count = variants.length;
  const first = count === 0 ? 0 : round % count;
  const forwards = [...variants.slice(first), ...variants.slice(0, first)];
  if (round % 2 === 0 || count === 0) return forwards;
  return [forwards[0]!, ...forwards.slice(1).reverse()];
}
