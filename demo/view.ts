/** The live picture of the demo: what happens, each host, and what the client sees. Pure text, and a thin screen. */

import { bytesText } from '../common/quantities.ts';
import { headline } from '../coordinator/headline.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { durationsText } from '../ctl/view.ts';

export interface Picture {
  phase: string;
  elapsedS: number;
  hosts: { name: string; alive: boolean; status: CoordinatorStatus | undefined }[];
  echoP50Ms: number | undefined;
  records: number;
  compareAndSwaps: number;
}

/** The lines of the picture, at most 100 columns wide. */
export function pictureLines(picture: Picture): string[] {
  const lines = [`▶ ${picture.phase}   ${picture.elapsedS.toFixed(0)} s`, ''];
  for (const { name, alive, status } of picture.hosts) {
    lines.push(`  host ${name}  ${alive ? hostText(status) : 'dead'}`);
  }
  const echo = picture.echoP50Ms === undefined ? '–' : `${picture.echoP50Ms.toFixed(1)} ms`;
  const seen = `${picture.records} records, ${picture.compareAndSwaps} compare-and-swaps`;
  lines.push('', `  client  echo p50 ${echo}   ${seen}`);
  return lines.map(line => line.slice(0, 100));
}

function hostText(status: CoordinatorStatus | undefined): string {
  if (!status) return '–';
  const head = `${status.state.padEnd(5)}${headline(status).word.padEnd(12)}`;
  if (status.role === 'backup') return `${head}epoch ${status.epoch.committed} committed`;
  if (status.role === 'none') return head;
  const { epoch, proxy, checkpoint } = status;
  const held = `${proxy.heldFrames} frames, ${bytesText(proxy.heldBytes)}`;
  if (status.state === 'SOLO') return `${head}output is free`;
  return `${head}epoch ${epoch.taken} (${epoch.taken - epoch.committed} ahead)  held ${held}  pause ${durationsText(checkpoint.pauseMs)}`;
}

/** Draws lines over the ones drawn before on a terminal; elsewhere only prints what stays. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  #drawn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Whether there is somebody to draw for. */
  get live(): boolean {
    return this.#out.isTTY === true;
  }

  draw(picture: Picture): void {
    this.#clear();
    const lines = pictureLines(picture);
    this.#out.write(`${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  /** Prints a line that stays. */
  print(line: string): void {
    this.#clear();
    this.#out.write(`${line}\n`);
  }

  #clear(): void {
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }
}
