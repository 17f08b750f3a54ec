/**
 * Virtual time: events in the order of their times, those of one time in the order in which they were scheduled.
 * Nothing else moves the clock, so one seed gives one run.
 */
import assert from 'node:assert/strict';

interface Entry {
  at: number;
  order: number;
  /** Null once cancelled. */
  run: (() => void) | null;
}

/** A binary heap, smallest (at, order) first. */
export class Loop {
  /** Milliseconds since the beginning of the run. */
  now = 0;
  /** Events that were run. */
  events = 0;
  #order = 0;
  readonly #heap: Entry[] = [];

  /** Runs `run` in `delayMs` milliseconds; returns what `cancel` takes. */
  after(delayMs: number, run: () => void): object {
    assert(delayMs >= 0, 'time does not go back');
    const entry = { at: this.now + delayMs, order: this.#order++, run };
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    return entry;
  }

  cancel(entry: object): void {
    (entry as Entry).run = null;
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    const entry = this.#heap[0];
    if (!entry) return false;
    const last = this.#heap.pop()!;
    if (last !== entry) {
      this.#heap[0] = last;
      this.#sink(0);
    }
    if (!entry.run) return true;
    this.now = entry.at;
    this.events++;
    entry.run();
    return true;
  }

  #rise(index: number): void {
    const heap = this.#heap;
    const entry = heap[index]!;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #sink(index: number): void {
    const heap = this.#heap;
    const entry = heap[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, entry)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = entry;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
