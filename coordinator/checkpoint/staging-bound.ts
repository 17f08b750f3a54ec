/**
 * The most that staging may take on either host, unless the operator says otherwise: 1.5 × the guest's memory, after
 * Curling's bound. One checkpoint has each page at most once, so that it always fits; the rest is for the one before it.
 */
const SHARE = 1.5;
/** Small guests too have video memory, firmware and device state. */
const BYTES_MIN = 64 << 20;

/** @param ramBytes The guest's main memory. */
export function stagingBound(configured: number | undefined, ramBytes: number): number {
  return configured ?? Math.max(BYTES_MIN, Math.ceil(ramBytes * SHARE));
}
