/**
 * The gate on the guest's output: keeps the proxy in the state that the arbitration wants, whatever happens to the proxy.
 *
 *   wanted   the proxy                                   after it was away
 *   held     captures; epochs are sealed and released    what it holds is dropped; the next epoch opens
 *   free     lets everything pass                        opens again
 *
 * A command that timed out may still be carried out, behind everything that the guest says meanwhile. So after a time-out
 * nothing more is sent on that connection, and the new one begins with `discard`: nothing that a late seal put into the
 * wrong epoch can ever be released.
 */
import { asCurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import type { ProxyClient } from './proxy-client.ts';
import type { Telemetry } from './telemetry.ts';

/** How often the next epoch is opened before that is an error: the guest may speak between two commands. */
const HOLD_ATTEMPTS = 20;
/** Epochs sealed one after the other to get to the wanted one; what is further away is no continuation. */
const SEALS_MAX = 64;

export interface OutputGateModules {
  proxy: ProxyClient;
  log: Logger;
  telemetry: Telemetry;
}

export class OutputGate {
  readonly #proxy: ProxyClient;
  readonly #lines: LimitedLog;
  readonly #telemetry: Telemetry;
  readonly #nextEpoch: () => number;
  #wanted: 'held' | 'free' = 'held';

  /** @param nextEpoch The epoch that is open, or is to be, while output is held. */
  constructor({ proxy, log, telemetry }: OutputGateModules, nextEpoch: () => number) {
    this.#proxy = proxy;
    this.#lines = new LimitedLog(log);
    this.#telemetry = telemetry;
    this.#nextEpoch = nextEpoch;
    proxy.on('connected', () => void this.#restore());
    proxy.on('outputPending', epoch => telemetry.outputPending(epoch));
    proxy.on('lost', () => telemetry.outputDropped());
  }

  /**
   * Holds everything from now on, as `epoch`; null keeps the number that is open. What is held
   * already stays held, in the epochs before.
   * @throws CurlingError when the proxy did not do it
   */
  async hold(epoch: number | null): Promise<void> {
    this.#wanted = 'held';
    const { state, epoch: at } = await this.#proxy.status();
    if (epoch !== null && state === 'hold' && epoch > at.open) await this.#sealUpTo(at.open, epoch);
    await this.#proxy.hold(epoch ?? at.open);
  }

  /** Frames that are held keep the proxy from opening another epoch; a seal moves on to the next. */
  async #sealUpTo(open: number, epoch: number): Promise<void> {
    if (epoch - open > SEALS_MAX) return;
    for (let next = open; next < epoch; next++) await this.#proxy.seal(next);
  }

  /** Lets everything out, now or as soon as the proxy is there. Never throws. */
  async open(): Promise<void> {
    this.#wanted = 'free';
    await this.#attempt('bypass', async () => {
      await this.#proxy.bypass();
      this.#telemetry.outputReleased(Number.POSITIVE_INFINITY);
    });
  }

  /** Drops what is held. Never throws: without a proxy nothing is held. */
  discard(): Promise<void> {
    return this.#attempt('discard', () => this.#discard());
  }

  /**
   * Sets the end of `epoch`, while the guest is stopped. When it throws, what the epoch held is lost, and the epoch after
   * it is open or will be.
   * @throws CurlingError
   */
  async seal(epoch: number): Promise<void> {
    try {
      const { bytes } = await this.#proxy.seal(epoch);
      this.#telemetry.outputSealed(epoch, bytes);
    } catch (error) {
      if (this.#proxy.connected) await this.#attempt('hold', () => this.#reopen());
      throw error;
    }
  }

  /** Lets the epochs up to `epoch` out. A proxy that is away has none of them. */
  release(epoch: number): void {
    if (!this.#proxy.connected) return;
    void this.#attempt('release', async () => {
      await this.#proxy.release(epoch);
      this.#telemetry.outputReleased(epoch);
    });
  }

  /** Looks whether the proxy is in the wanted state, and sets it right. Never throws. */
  async check(): Promise<void> {
    if (!this.#proxy.connected) return;
    const status = await this.#proxy.status().catch(() => undefined);
    if (status?.state === 'hold' && this.#wanted === 'free') await this.open();
    if (status && status.state !== 'hold' && this.#wanted === 'held')
      await this.#attempt('hold', () => this.hold(null));
  }

  async #restore(): Promise<void> {
    if (this.#wanted === 'free') return this.open();
    await this.#attempt('hold', () => this.#reopen());
  }

  /** Opens the next epoch in a proxy that holds nothing. Stops when output became free meanwhile. */
  async #reopen(): Promise<void> {
    for (let attempt = 1; this.#wanted === 'held'; attempt++) {
      await this.#discard();
      if (this.#wanted !== 'held') return;
      try {
        return await this.#proxy.hold(this.#nextEpoch());
      } catch (error) {
        if (asCurlingError(error).code !== 'CURLING_EPOCH' || attempt === HOLD_ATTEMPTS)
          throw error;
      }
    }
  }

  async #discard(): Promise<void> {
    await this.#proxy.discard();
    this.#telemetry.outputDropped();
  }

  async #attempt(what: string, command: () => Promise<void>): Promise<void> {
    try {
      await command();
    } catch (error) {
      const facts = { code: asCurlingError(error).code };
      this.#lines.say('error', facts, `${what}: ${messageOf(error)}`);
    }
  }
}
