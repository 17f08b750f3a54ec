/** Pages of a chunk that lie side by side, so that each run is one write. Pure. */
import { ENTRY_BYTES, PAGE_KIND } from './page-chunk.ts';

export interface PageRun {
  block: number;
  /** First page of the run. */
  page: number;
  pages: number;
  /** The fill byte, or undefined when the run's data is next in the chunk's data. */
  fill: number | undefined;
}

/**
 * Joins neighbouring entries of one block and kind. Entries come in page-chunk.ts's form and are
 * valid.
 */
export function* pageRuns(entries: Buffer): Generator<PageRun> {
  let run: PageRun | undefined;
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
    const block = entries.readUInt16BE(at);
    const fill = entries[at + 2] === PAGE_KIND.fill ? entries[at + 3] : undefined;
    const page = entries.readUInt32BE(at + 4);
    if (run && run.block === block && run.fill === fill && run.page + run.pages === page) {
      run.pages++;
      continue;
    }
    if (run) yield run;
    run = { block, page, pages: 1, fill };
  }
  if (run) yield run;
}
