/**
 * Watches a full copy while QEMU makes it: says each pass in words, warns when the guest writes as fast as its memory is
 * sent, and gives the copy up after PASSES_MAX passes.
 */
import { CurlingError } from '../common/errors.ts';
import type { QmpClient } from '../common/qmp/client.ts';
import {
  type CopyProgress,
  copyText,
  isLosing,
  PASSES_MAX,
  queryCopy,
} from './qemu/copy-progress.ts';

/** Between two questions. */
const ASK_MS = 500;

export interface CopyWatchOptions {
  qmp: QmpClient;
  /** By how many percent the guest may be slowed. */
  throttleMax: number;
  /** Whether the copy is still under way. */
  goesOn(): boolean;
  /** A pass has begun. @param losing Whether the guest writes about as fast as its memory is sent. */
  told(text: string, losing: boolean): void;
  /** It has come to too many passes. Called once, and nothing after it. */
  hopeless(error: CurlingError): void;
}

export class CopyWatch {
  readonly #options: CopyWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #progress: CopyProgress | undefined;
  #ended = false;

  /** Begins at once. */
  constructor(options: CopyWatchOptions) {
    this.#options = options;
    this.#later();
  }

  /** What QEMU said last; undefined before, and when the copy is over. */
  get progress(): CopyProgress | undefined {
    return this.#ended || !this.#options.goesOn() ? undefined : this.#progress;
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #later(): void {
    this.#timer = setTimeout(() => void this.#look(), ASK_MS).unref();
  }

  async #look(): Promise<void> {
    const { qmp, throttleMax, goesOn, told, hopeless } = this.#options;
    // A QEMU that does not answer is seen by others.
    const now = await queryCopy(qmp).catch(() => undefined);
    if (this.#ended) return;
    if (!goesOn()) return this.end();
    const before = this.#progress?.pass;
    this.#progress = now ?? this.#progress;
    if (now && now.pass > PASSES_MAX) {
      this.end();
      const text = `after ${PASSES_MAX} passes the copy is given up: ${copyText(now, throttleMax)}`;
      return hopeless(new CurlingError('CURLING_COPY', text));
    }
    if (now && now.pass !== before) told(copyText(now, throttleMax), isLosing(now));
    this.#later();
  }
}
