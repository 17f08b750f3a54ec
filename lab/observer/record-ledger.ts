/**
 * All records seen outside, and what is wrong with them by themselves: the same one twice, one
 * sequence with two contents, a second run of the program, a chain that does not follow from its
 * predecessor. Pure.
 *
 * Invariant: holds the first sighting of each sequence, at most `recordsMax` of them; beyond that
 * the oldest are forgotten and counted.
 */
import assert from 'node:assert/strict';
import { type GuestRecord, nextChain } from '../guest/record.ts';
import { Offences, timeOfDay } from './offences.ts';

/** A record, where it was seen and when. */
export interface Sighting extends GuestRecord {
  where: string;
  atMs: number;
}

export class RecordLedger {
  readonly #recordsMax: number;
  readonly #sightings = new Map<number, Sighting>();
  readonly offences: Offences;
  #run: string | undefined;
  records = 0;
  repeated = 0;
  contradicted = 0;
  brokenChains = 0;
  forgotten = 0;
  first: number | undefined;
  last: number | undefined;
  /** Records seen after one with a higher sequence. */
  late = 0;

  constructor(recordsMax = 1 << 20, offences = new Offences()) {
    this.#recordsMax = recordsMax;
    this.offences = offences;
  }

  /** Sequences between the first and the last that were not seen. */
  get missing(): number {
    if (this.first === undefined || this.last === undefined) return 0;
    return this.last - this.first + 1 - this.#sightings.size - this.forgotten;
  }

  /** First sightings, in the order in which they came. */
  sightings(): IterableIterator<Sighting> {
    return this.#sightings.values();
  }

  has(sequence: number): boolean {
    return this.#sightings.has(sequence);
  }

  /** Takes the next record that was seen. */
  see(record: GuestRecord, where: string, atMs: number): void {
    const sighting = { ...record, where, atMs };
    this.records++;
    this.#run ??= record.run;
    if (record.run !== this.#run) {
      this.contradicted++;
      this.offences.add(
        'contradicted',
        () => `${words(sighting)} is of another run than ${this.#run}`,
      );
      return;
    }
    const before = this.#sightings.get(record.sequence);
    if (before) this.#compare(before, sighting);
    else this.#add(sighting);
    assert(this.#sightings.size <= this.#recordsMax);
  }

  #compare(before: Sighting, now: Sighting): void {
    const same = before.nonce === now.nonce && before.chain === now.chain;
    if (same) this.repeated++;
    else this.contradicted++;
    this.offences.add(
      same ? 'repeated' : 'contradicted',
      () => `${words(now)}, after ${words(before)}`,
    );
  }

  #add(sighting: Sighting): void {
    const { sequence } = sighting;
    if (this.last !== undefined && sequence < this.last) this.late++;
    this.first = Math.min(this.first ?? sequence, sequence);
    this.last = Math.max(this.last ?? sequence, sequence);
    this.#sightings.set(sequence, sighting);
    this.#link(this.#sightings.get(sequence - 1), sighting);
    this.#link(sighting, this.#sightings.get(sequence + 1));
    if (this.#sightings.size <= this.#recordsMax) return;
    const oldest = this.#sightings.keys().next().value!;
    this.#sightings.delete(oldest);
    this.forgotten++;
  }

  #link(before: Sighting | undefined, after: Sighting | undefined): void {
    if (!before || !after || nextChain(before.chain, after.sequence, after.nonce) === after.chain)
      return;
    this.brokenChains++;
    this.offences.add('brokenChain', () => `${words(after)} does not follow from ${words(before)}`);
  }
}

/** A sighting for a message. */
export function words(sighting: Sighting): string {
  const { sequence, nonce, where, atMs } = sighting;
  return `record ${sequence} (nonce ${nonce.slice(0, 8)}…) on ${where} at ${timeOfDay(atMs)}`;
}
