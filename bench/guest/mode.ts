/** Ways to run a guest. Pure. */

/** `output`: curling's own schedule. `fixed-N`: a checkpoint every N ms. */
export type Mode = 'unprotected' | 'output' | `fixed-${number}`;

/** The coordinator's options for a mode. */
export function scheduleFlags(mode: Mode): string[] {
  return mode.startsWith('fixed-') ? ['--fixed-interval', mode.slice('fixed-'.length)] : [];
}

/** For a reader. */
export function modeTitle(mode: Mode): string {
  if (mode === 'unprotected') return 'unprotected';
  if (mode === 'output') return 'protected, when output waits';
  return `protected, every ${mode.slice('fixed-'.length)} ms`;
}
