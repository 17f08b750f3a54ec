/** Looks at JSON of unknown shape, and says where it is not as expected. */

/** The data is not as expected; the message names the place. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** A value, and where it is, e.g. `scenarios[0].name`. Every method throws ShapeError when the value is no such thing. */
export class Shape {
  readonly value: unknown;
  readonly place: string;

  constructor(value: unknown, place = '') {
    this.value = value;
    this.place = place;
  }

  get text(): string {
    if (typeof this.value !== 'string') this.#fail('a text');
    return this.value as string;
  }

  /** A finite number; JSON has no others. */
  get number(): number {
    if (typeof this.value !== 'number') this.#fail('a number');
    return this.value as number;
  }

  get boolean(): boolean {
    if (typeof this.value !== 'boolean') this.#fail('true or false');
    return this.value as boolean;
  }

  /** One of the words. */
  oneOf<T extends string>(words: readonly T[]): T {
    if (!words.includes(this.value as T)) this.#fail(`one of ${words.join(', ')}`);
    return this.value as T;
  }

  member(name: string): Shape {
    const place = this.place === '' ? name : `${this.place}.${name}`;
    return new Shape(this.#object()[name], place);
  }

  /** Undefined when the member is not there. */
  optional<T>(name: string, read: (shape: Shape) => T): T | undefined {
    const member = this.member(name);
    return member.value === undefined ? undefined : read(member);
  }

  nullable<T>(name: string, read: (shape: Shape) => T): T | null {
    const member = this.member(name);
    return member.value === null ? null : read(member);
  }

  list<T>(name: string, read: (shape: Shape) => T): T[] {
    const member = this.member(name);
    if (!Array.isArray(member.value)) return member.#fail('a list');
    return member.value.map((item, index) => read(new Shape(item, `${member.place}[${index}]`)));
  }

  /** An object of numbers, by name. */
  get numbers(): Record<string, number> {
    const names = Object.keys(this.#object());
    return Object.fromEntries(names.map(name => [name, this.member(name).number]));
  }

  #object(): Record<string, unknown> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      this.#fail('an object');
    return value as Record<string, unknown>;
  }

  #fail(expected: string): never {
    const got = this.value === undefined ? 'nothing' : JSON.stringify(this.value).slice(0, 40);
    const place = this.place === '' ? 'the whole' : this.place;
    throw new ShapeError(`${place}: expected ${expected}, got ${got}`);
  }
}
