/**
 * A guest whose state shows its whole history. Every step reads an input that nobody can foresee, so each execution of a
 * step is a version of its own; the ledger knows which version came after which. The newest version is in the device
 * state, older ones in the pages that they wrote last: a memory in which two histories or two moments are mixed is found.
 */
import { type GuestLayout, PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';

const DATA_PAGES = 3;
const FILL_PAGE = 3;
const FILL_EVERY = 4;
const MAIN_PAGES = 4;
const MAIN = 0;
const OTHER = 1;

export const MAIN_BYTES = MAIN_PAGES * PAGE_BYTES;

export const LAYOUT: GuestLayout = {
  machine: 'sim',
  subsections: Buffer.alloc(0),
  ram: { sectionId: 2, instanceId: 0, version: 4 },
  blocks: [
    { name: 'pc.ram', bytes: MAIN_BYTES },
    { name: 'vga.vram', bytes: PAGE_BYTES },
  ],
  mainBlock: MAIN,
};

/** A state of the guest: how many steps it took, and which version of the last one. */
export interface Moment {
  readonly steps: number;
  readonly version: number;
}

/** Who knows all versions that ever were. */
export class Ledger {
  readonly #parents: number[] = [0];

  /** A new version of the step after `version`. */
  step(version: number): number {
    this.#parents.push(version);
    return this.#parents.length - 1;
  }

  /** The version of step `steps` in the history of `moment`; -1 when that is shorter. */
  at({ steps, version }: Moment, wanted: number): number {
    if (wanted > steps) return -1;
    for (let step = steps; step > wanted; step--) version = this.#parents[version]!;
    return version;
  }

  /** Whether `moment` lies in the history of `later`, or is it. */
  precedes(moment: Moment, later: Moment): boolean {
    return this.at(later, moment.steps) === moment.version;
  }
}

/** A page as QEMU sends it. */
export interface SentPage {
  readonly block: number;
  readonly page: number;
  /** Null for one that holds `fill` throughout. */
  readonly bytes: Buffer | null;
  readonly fill: number;
}

export class Guest {
  steps = 0;
  version = 0;
  readonly main: Buffer;
  readonly other: Buffer = Buffer.alloc(PAGE_BYTES);
  readonly #ledger: Ledger;
  readonly #dirty = new Set<number>();

  constructor(ledger: Ledger, main: Buffer = Buffer.alloc(MAIN_BYTES)) {
    this.#ledger = ledger;
    this.main = main;
  }

  get moment(): Moment {
    return { steps: this.steps, version: this.version };
  }

  /** Takes an input and goes on. */
  step(): void {
    this.version = this.#ledger.step(this.version);
    this.steps++;
    const page = this.steps % DATA_PAGES;
    this.#mark(this.main, page * PAGE_BYTES);
    this.#dirty.add(page);
    if (this.steps % FILL_EVERY === 0) {
      const start = FILL_PAGE * PAGE_BYTES;
      this.main.fill(this.steps & 0xff, start, start + PAGE_BYTES);
      this.#dirty.add(FILL_PAGE);
    }
    if (this.steps % 2 === 0) {
      this.#mark(this.other, 0);
      this.#dirty.add(MAIN_PAGES);
    }
  }

  device(): Buffer {
    const device = Buffer.alloc(12, 0xde);
    device.writeUInt32BE(this.steps, 0);
    device.writeUInt32BE(this.version, 4);
    return device;
  }

  /** All pages, or those changed since the last time. */
  takePages(all: boolean): SentPage[] {
    const wanted = all ? [0, 1, 2, FILL_PAGE, MAIN_PAGES] : [...this.#dirty];
    this.#dirty.clear();
    return wanted.map(page => this.#sent(page));
  }

  /** Becomes what a checkpoint says. @returns What is wrong with the memory; empty when nothing is. */
  load(device: Buffer, other: Buffer): string {
    this.steps = device.readUInt32BE(0);
    this.version = device.readUInt32BE(4);
    other.copy(this.other);
    this.#dirty.clear();
    return this.fault();
  }

  /** What in the memory is not of this moment. */
  fault(): string {
    for (let page = 0; page < DATA_PAGES; page++) {
      const last = this.steps - ((((this.steps - page) % DATA_PAGES) + DATA_PAGES) % DATA_PAGES);
      const wrong = this.#wrong(this.main, page * PAGE_BYTES, last);
      if (wrong) return `page ${page} ${wrong}`;
    }
    const wrong = this.#wrong(this.other, 0, this.steps - (this.steps % 2));
    if (wrong) return `the other block ${wrong}`;
    const fill = (this.steps - (this.steps % FILL_EVERY)) & 0xff;
    const found = this.main[FILL_PAGE * PAGE_BYTES + PAGE_BYTES - 1];
    return found === fill ? '' : `the filled page holds ${found}, not ${fill}`;
  }

  #wrong(memory: Buffer, at: number, step: number): string {
    if (step <= 0) return '';
    const steps = memory.readUInt32BE(at);
    const version = memory.readUInt32BE(at + 4);
    const expected = this.#ledger.at(this.moment, step);
    if (steps === step && version === expected) return '';
    return `holds step ${steps} version ${version}, not step ${step} version ${expected}`;
  }

  #mark(memory: Buffer, at: number): void {
    memory.writeUInt32BE(this.steps, at);
    memory.writeUInt32BE(this.version, at + 4);
  }

  #sent(page: number): SentPage {
    if (page === MAIN_PAGES) {
      return { block: OTHER, page: 0, bytes: Buffer.from(this.other), fill: 0 };
    }
    const start = page * PAGE_BYTES;
    if (page === FILL_PAGE) return { block: MAIN, page, bytes: null, fill: this.main[start]! };
    const bytes = Buffer.from(this.main.subarray(start, start + PAGE_BYTES));
    return { block: MAIN, page, bytes, fill: 0 };
  }
}
