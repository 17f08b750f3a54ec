/** A fixed piece of work, done between rounds: its spread shows how the machine's own speed drifts. */

export interface ProbeTimes {
  spinMs: number;
  copyMs: number;
}

const SPINS = 12_000_000;
const COPY_BYTES = 8 << 20;
const COPIES = 6;
const WARM_UPS = 3;

/** Keeps the arithmetic from being optimised away. */
let sink = 0;

function spin(): void {
  let state = 0x9e3779b9;
  for (let step = 0; step < SPINS; step += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
  }
  sink ^= state;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Returns a probe that is warm: each call takes some 40 ms and gives the times of this call. */
export function createProbe(): () => ProbeTimes {
  const from = new Uint8Array(COPY_BYTES).fill(1);
  const to = new Uint8Array(COPY_BYTES);
  const copy = () => {
    for (let count = 0; count < COPIES; count += 1) {
      from[count] = sink & 0xff;
      to.set(from);
    }
  };
  const probe = () => ({ spinMs: timed(spin), copyMs: timed(copy) });
  for (let count = 0; count < WARM_UPS; count += 1) probe();
  return probe;
}
