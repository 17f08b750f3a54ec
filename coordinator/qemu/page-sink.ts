/** Where the decoder puts guest pages. One method call per page and no object: this is the hot path. */

/** Where the bytes of a page belong. One object per sink, changed in place. */
export interface PageTarget {
  buffer: Buffer;
  offset: number;
}

export interface PageSink {
  /** Valid from `dataPage` to `pageDone`: PAGE_BYTES bytes from `offset` on belong to the decoder. */
  readonly target: PageTarget;
  /** A page with content begins; sets `target`. `block` indexes GuestLayout.blocks, `page` counts from 0. */
  dataPage(block: number, page: number): void;
  /** All bytes of that page are in place. */
  pageDone(): void;
  /** A page that holds one byte throughout. */
  fillPage(block: number, page: number, fill: number): void;
}
