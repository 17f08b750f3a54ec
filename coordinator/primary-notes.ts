/** What an operator should know about the primary's side of a protection. Remembers; decides nothing. */
import type { Clock } from '../common/clock.ts';
import type { StagingAdvice } from './checkpoint/staging-advice.ts';
import type { StandbyWord, Welcome } from './replication/types.ts';
import type { StandbyStatus } from './status.ts';

/** How long a warning stands after the guest waited for staging memory. */
const STAGING_WARNING_MS = 60_000;

export class PrimaryNotes {
  /** Why nothing is packed any more. */
  packFailed: string | undefined;
  readonly #clock: Clock;
  #guest: readonly string[] = [];
  #bounds: readonly string[] = [];
  #standby: StandbyStatus = { up: true, reason: null };
  #staging: { text: string; atMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What the backup of this connection last said about its standby. */
  get standby(): StandbyStatus {
    return this.#standby;
  }

  /** The guest was looked at. @param warnings As checkHoldable. */
  guest(warnings: readonly string[]): void {
    this.#guest = warnings;
    this.#bounds = [];
  }

  /**
   * A backup has admitted this host. A checkpoint may have all of the guest's memory: a backup that takes less is told of
   * beforehand.
   */
  admitted({ host, stagedBytesMax }: Welcome, ramBytes: number): void {
    this.#standby = { up: true, reason: null };
    if (stagedBytesMax >= ramBytes) return;
    const [bound, ram] = [stagedBytesMax, ramBytes].map(
      bytes => `${Math.round(bytes / 2 ** 20)} MiB`,
    );
    const text = `${host} takes checkpoints of ${bound} at most, less than this guest's memory of ${ram}`;
    this.#bounds = [`${text}: a larger one ends the protection; raise its --staging-mib`];
  }

  standbyIs({ up, reason }: StandbyWord): void {
    this.#standby = { up, reason: up ? null : reason };
  }

  /** The guest waited for staging memory. Returns whether that is news. */
  stagingFull({ text }: StagingAdvice): boolean {
    const news = !this.#stagingWarns;
    this.#staging = { text, atMs: this.#clock.now() };
    return news;
  }

  /** @param backup The host that is connected, if there is one. */
  warnings(backup: string | undefined): string[] {
    const gone = backup === undefined ? null : this.#standby.reason;
    return [
      ...(gone ? [`${backup} has no standby QEMU and takes nothing over: ${gone}`] : []),
      ...this.#guest,
      ...this.#bounds,
      ...(this.#stagingWarns ? [this.#staging!.text] : []),
      ...(this.packFailed ? [`checkpoints are not packed any more: ${this.packFailed}`] : []),
    ];
  }

  get #stagingWarns(): boolean {
    const since = this.#staging?.atMs;
    return since !== undefined && this.#clock.now() - since < STAGING_WARNING_MS;
  }
}
