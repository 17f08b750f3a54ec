/** Values of others in messages of ours: bounded, and never a reason to fail. */

/**
 * A value as JSON, for a message: at most `charsMax` characters of it. Never throws, whatever came: lists within lists
 * by the thousand, which JSON.parse takes, make JSON.stringify overflow the stack.
 */
export function shown(value: unknown, charsMax = 80): string {
  return jsonOf(value)?.slice(0, charsMax) ?? 'nothing';
}

/** The JSON of a value that was parsed from JSON; undefined when it is nested too deeply to be written, or nothing. */
export function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * The beginning of a text that takes at most `bytesMax` bytes as a string of JSON, its quotes not counted. A character
 * may take six there, as control characters and lone surrogates do.
 */
export function cutForJson(text: string, bytesMax: number): string {
  // At most one byte a character can be left, so what is longer need not be looked at.
  let cut = text.slice(0, bytesMax);
  for (let excess = jsonBytes(cut) - bytesMax; excess > 0; excess = jsonBytes(cut) - bytesMax) {
    cut = cut.slice(0, cut.length - Math.ceil(excess / JSON_BYTES_OF_CHAR));
  }
  return cut;
}

/** Most bytes that one UTF-16 unit takes in JSON: \uXXXX. */
const JSON_BYTES_OF_CHAR = 6;

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}
