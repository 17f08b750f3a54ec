/** Colours on a terminal: only there, and not where NO_COLOR is set (no-color.org), unless --color says so. */
import type { WriteStream } from 'node:tty';
import type { OptionSpec } from '../common/options.ts';
import { usageError } from './command.ts';

/** ECMA-48, select graphic rendition: on and off. */
const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Colour = keyof typeof CODES;

/** Gives a text a colour, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string;

export const COLOR_OPTION = {
  color: {
    type: 'string',
    value: 'WHEN',
    choices: ['auto', 'always', 'never'],
    default: 'auto',
    help: 'colours: always, never, auto (on a terminal without NO_COLOR)',
  },
} as const satisfies Record<string, OptionSpec>;

export const plain: Paint = (_colour, text) => text;

export const painted: Paint = (colour, text) => {
  const [on, off] = CODES[colour];
  return text === '' ? '' : `\u001b[${on}m${text}\u001b[${off}m`;
};

/**
 * @param when What --color says. @param stream Where the text goes.
 * @throws CurlingError CURLING_USAGE
 */
export function paintFor(when: unknown, stream: Pick<WriteStream, 'isTTY' | 'hasColors'>): Paint {
  if (when === 'always') return painted;
  if (when === 'never') return plain;
  if (when !== 'auto') {
    const text = `--color: expected auto, always or never, got ${JSON.stringify(when)}`;
    throw usageError(text);
  }
  // Node looks at NO_COLOR and TERM.
  return stream.isTTY && stream.hasColors() ? painted : plain;
}
