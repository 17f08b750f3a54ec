/** Reads the TAP that AVA prints (https://testanything.org, version 13): pure, lines in, finished tests out. */

export interface TapTest {
  /** AVA's `file › title`. */
  title: string;
  outcome: 'passed' | 'failed' | 'skipped';
  /** The indented lines that follow a failed test. */
  details: string[];
}

const TEST_LINE = /^(not )?ok \d+(?: - (.*))?$/;
const DIRECTIVE = / # (SKIP|TODO)\b.*$/i;

export class TapReader {
  #rest = '';
  #failed: TapTest | undefined;

  /** Takes any piece of the output; returns the tests that are complete by now. */
  push(text: string): TapTest[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap(line => this.#line(line));
  }

  /** The output has ended. */
  end(): TapTest[] {
    return [...this.push('\n'), ...this.#takeFailed()];
  }

  #line(line: string): TapTest[] {
    const match = TEST_LINE.exec(line);
    if (!match) {
      // AVA puts what a test logged, with a #, before the reason of its failure.
      if (/^(#| )\s+\S/.test(line)) {
        this.#failed?.details.push(line);
        return [];
      }
      return line === '' ? [] : this.#takeFailed();
    }
    const before = this.#takeFailed();
    const text = match[2] ?? '';
    const title = text.replace(DIRECTIVE, '');
    // A planned test (TODO) is "not ok" by TAP's rules, and not a failure.
    if (title !== text) return [...before, { title, outcome: 'skipped', details: [] }];
    if (!match[1]) return [...before, { title, outcome: 'passed', details: [] }];
    this.#failed = { title, outcome: 'failed', details: [] };
    return before;
  }

  /** A failed test is complete when something else follows its details. */
  #takeFailed(): TapTest[] {
    const failed = this.#failed;
    this.#failed = undefined;
    return failed ? [failed] : [];
  }
}
