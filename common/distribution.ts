/**
 * A distribution of many durations in constant memory, recorded in a few nanoseconds. Pure.
 *
 * A value falls into one of 64 buckets of its octave, taken from the first bits of its single-precision form (IEEE 754:
 * 8 bits exponent, 23 bits fraction): percentiles are within one per cent. A power of two is the upper end of a bucket, so
 * counts up to it are exact, and the buckets of a Prometheus histogram are powers of two of a millisecond.
 *
 * At the bounds, 2^-10 and 2^17 milliseconds (about 1 µs and 131 s), a value counts in the first or the last bucket; the
 * largest value and the sum are kept as they are.
 */
const FRACTION_BITS = 23;
const BUCKET_BITS = 6;
const EXPONENT_BIAS = 127;
const EXPONENT_MIN = -10;
const EXPONENT_MAX = 17;
const SHIFT = FRACTION_BITS - BUCKET_BITS;
const FIRST = (EXPONENT_BIAS + EXPONENT_MIN) << BUCKET_BITS;
const BUCKETS = (EXPONENT_MAX - EXPONENT_MIN) << BUCKET_BITS;

/** One number seen as single precision and as its bits. */
const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

export class Distribution {
  readonly #counts = new Uint32Array(BUCKETS);
  /** The buckets that may hold something; emptying and adding touch no others. */
  #low = BUCKETS;
  #high = -1;
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  /** Of all values, milliseconds. */
  get sumMs(): number {
    return this.#sumMs;
  }

  /** The largest value, milliseconds; 0 without one. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Counts one duration, milliseconds; a negative one counts as none. */
  record(ms: number): void {
    const value = ms > 0 ? ms : 0;
    const bucket = bucketOf(value);
    this.#counts[bucket]!++;
    if (bucket < this.#low) this.#low = bucket;
    if (bucket > this.#high) this.#high = bucket;
    this.#count++;
    this.#sumMs += value;
    if (value > this.#maxMs) this.#maxMs = value;
  }

  /** Counts all that `other` has counted. */
  add(other: Distribution): void {
    for (let bucket = other.#low; bucket <= other.#high; bucket++)
      this.#counts[bucket]! += other.#counts[bucket]!;
    this.#low = Math.min(this.#low, other.#low);
    this.#high = Math.max(this.#high, other.#high);
    this.#count += other.#count;
    this.#sumMs += other.#sumMs;
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs);
  }

  /** The value that `share` (0 to 1) of all values do not exceed, milliseconds; 0 without values. */
  percentile(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let counted = 0;
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      counted += this.#counts[bucket]!;
      if (counted >= wanted) return Math.min(middleOf(bucket), this.#maxMs);
    }
    return this.#maxMs;
  }

  /** The whole in a few numbers, milliseconds; zeros without values. */
  durations(): { count: number; p50: number; p90: number; p99: number; max: number } {
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map(share => this.percentile(share));
    return { count: this.#count, p50: p50!, p90: p90!, p99: p99!, max: this.#maxMs };
  }

  /** How many values are at most `ms`, which is a power of two from 2^-9 to 2^16. */
  countUpTo(ms: number): number {
    const last = bucketOf(ms);
    let counted = 0;
    for (let bucket = this.#low; bucket <= Math.min(last, this.#high); bucket++)
      counted += this.#counts[bucket]!;
    return counted;
  }

  /** Forgets everything. */
  clear(): void {
    if (this.#high >= 0) this.#counts.fill(0, this.#low, this.#high + 1);
    this.#low = BUCKETS;
    this.#high = -1;
    this.#count = 0;
    this.#sumMs = 0;
    this.#maxMs = 0;
  }
}

/** Buckets are open below and closed above, so that a power of two ends one. */
function bucketOf(ms: number): number {
  single[0] = ms;
  const bucket = ((bits[0]! - 1) >>> SHIFT) - FIRST;
  if (bucket < 0 || ms === 0) return 0;
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

function middleOf(bucket: number): number {
  bits[0] = ((bucket + FIRST) << SHIFT) | (1 << (SHIFT - 1));
  return single[0]!;
}
