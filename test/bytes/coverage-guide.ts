/** Tells the fuzz which inputs reach new code, by V8's own precise coverage of the product's modules. */
import { Session } from 'node:inspector/promises';
import type { Guide } from './engine.ts';

const PRODUCT = /\/build\/(common|coordinator|proxy|witness)\//;

/** Begins to watch; slow, so only for runs of minutes. */
export async function coverageGuide(): Promise<Guide> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const seen = new Set<string>();
  return {
    async news() {
      const before = seen.size;
      const { result } = await session.post('Profiler.takePreciseCoverage');
      for (const script of result.filter(({ url }) => PRODUCT.test(url))) {
        for (const { ranges } of script.functions) {
          for (const { startOffset, endOffset, count } of ranges)
            if (count > 0) seen.add(`${script.scriptId} ${startOffset} ${endOffset}`);
        }
      }
      return seen.size > before;
    },
  };
}
