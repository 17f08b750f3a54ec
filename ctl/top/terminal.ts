/** The terminal as `top` uses it: another screen, single keys, and everything as it was at the end, however that comes. */
import type { ReadStream, WriteStream } from 'node:tty';

/** xterm's: the other screen and back; the cursor away and back; the upper left; the rest of a line and of the screen. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

export type Key = 'quit' | 'up' | 'down';

const KEYS: Readonly<Record<string, Key>> = {
  q: 'quit',
  '\u0003': 'quit', // Ctrl-C
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  k: 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  j: 'down',
};

/** The keys in what a terminal sent: several may come at once, each whole. What means nothing is left out. */
export function keysIn(text: string): Key[] {
  const keys: Key[] = [];
  for (let at = 0; at < text.length; ) {
    const known = Object.keys(KEYS).find(sequence => text.startsWith(sequence, at));
    if (known !== undefined) keys.push(KEYS[known]!);
    at += known?.length ?? 1;
  }
  return keys;
}

export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #leave = () => this.close();
  #open = true;

  /** @param onKey Is told of each key that means something, @param onResize of another size. */
  constructor(
    input: ReadStream,
    output: WriteStream,
    onKey: (key: Key) => void,
    onResize: () => void,
  ) {
    this.#input = input;
    this.#output = output;
    output.write(ENTER);
    input.setRawMode(true);
    input.setEncoding('utf8');
    input.on('data', (text: string) => {
      for (const key of keysIn(text)) onKey(key);
    });
    input.on('end', () => onKey('quit'));
    // A terminal that is gone cannot be written to.
    output.on('error', () => onKey('quit'));
    output.on('resize', onResize);
    process.once('exit', this.#leave);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => onKey('quit'));
  }

  get size(): { columns: number; rows: number } {
    return { columns: this.#output.columns ?? 80, rows: this.#output.rows ?? 24 };
  }

  /** Puts lines in the place of those that are there, without a flicker. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    const text = lines.map(line => line + CLEAR_LINE).join('\r\n');
    this.#output.write(HOME + text + CLEAR_BELOW);
  }

  /** Gives the terminal back. May be repeated. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off('exit', this.#leave);
    this.#output.write(LEAVE);
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
