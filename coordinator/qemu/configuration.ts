/**
 * The configuration section: the machine's name and what QEMU wants the receiver to agree on.
 *
 *   u8 0x07, u32 length, name        then zero or more subsections:
 *   u8 0x05, name (u8 length, bytes), u32 version, fields
 *
 *   configuration/capabilities       u32 count, then count names (u8 length, bytes)
 *   configuration/target-page-bits   u32
 *   configuration/uuid               16 bytes
 *
 * Subsections carry no length, so one that is not listed here cannot be passed over.
 */
import type { FieldReader } from './field-reader.ts';
import { CAPABILITIES_SUBSECTION, PART, streamError } from './stream-format.ts';

const NAME_BYTES_MAX = 255;
/** QEMU 10 knows 25 capabilities. */
const CAPABILITIES_MAX = 64;
/** Subsections that are kept as they came, by name; the value is the length of their fields. */
const KEPT_SUBSECTIONS: ReadonlyMap<string, number> = new Map([
  ['configuration/target-page-bits', 4],
  ['configuration/uuid', 16],
]);

export interface Configuration {
  machine: string;
  /** Subsections as they came, without the capabilities. */
  subsections: Buffer;
  /** Names of capabilities that are on. */
  capabilities: string[];
}

/** Yields the size of each field that it wants taken next (see FieldReader). */
export type Fields<Result> = Generator<number, Result, void>;

/** The section's body, after its first byte. */
export function* readMachine(reader: FieldReader): Fields<string> {
  yield 4;
  const bytes = reader.u32();
  if (bytes === 0 || bytes > NAME_BYTES_MAX) {
    const expected = `a machine's name of 1 to ${NAME_BYTES_MAX} bytes`;
    throw streamError(expected, `${bytes} bytes`, reader.position);
  }
  yield bytes;
  return printable(reader.text(bytes), reader);
}

/** One subsection, after its first byte, into `configuration`. */
export function* readSubsection(reader: FieldReader, configuration: Configuration): Fields<void> {
  const name = yield* readName(reader);
  yield 4;
  const version = reader.u32();
  if (name === CAPABILITIES_SUBSECTION && configuration.capabilities.length === 0) {
    yield* readCapabilities(reader, configuration);
    return;
  }
  const fieldBytes = KEPT_SUBSECTIONS.get(name);
  // Each is sent once, which also bounds what is kept.
  if (fieldBytes === undefined || configuration.subsections.includes(name))
    throw streamError(
      'a known configuration subsection, once',
      JSON.stringify(name),
      reader.position,
    );
  yield fieldBytes;
  const head = Buffer.from([PART.subsection, name.length]);
  const tail = Buffer.alloc(4 + fieldBytes);
  tail.writeUInt32BE(version);
  tail.write(reader.text(fieldBytes), 4, 'latin1');
  configuration.subsections = Buffer.concat([
    configuration.subsections,
    head,
    Buffer.from(name, 'latin1'),
    tail,
  ]);
}

function* readCapabilities(reader: FieldReader, configuration: Configuration): Fields<void> {
  yield 4;
  const count = reader.u32();
  if (count > CAPABILITIES_MAX) {
    const expected = `at most ${CAPABILITIES_MAX} capabilities`;
    throw streamError(expected, String(count), reader.position);
  }
  for (let i = 0; i < count; i++) configuration.capabilities.push(yield* readName(reader));
}

/** A name with its length in front: 1 to 255 printable ASCII characters. */
export function* readName(reader: FieldReader): Fields<string> {
  yield 1;
  const bytes = reader.u8();
  yield bytes;
  return printable(reader.text(bytes), reader);
}

function printable(name: string, reader: FieldReader): string {
  if (/^[\x20-\x7e]+$/.test(name)) return name;
  throw streamError('a name of printable ASCII characters', JSON.stringify(name), reader.position);
}
