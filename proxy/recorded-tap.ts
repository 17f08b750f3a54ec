/** An own tap that records what it takes. A tap that records nothing is an OwnTap, and so costs nothing for it. */
import type { FrameRecord } from './frame-record.ts';
import { OwnTap } from './own-tap.ts';

export class RecordedTap extends OwnTap {
  readonly #record: FrameRecord;

  /** @throws CurlingError of OwnTap. */
  constructor(name: string, record: FrameRecord) {
    super(name);
    this.#record = record;
  }

  override send(address: number, length: number): number {
    const code = super.send(address, length);
    if (code === 0) this.#record.add(address, length);
    return code;
  }
}
