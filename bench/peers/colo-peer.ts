/** QEMU's own COLO as a peer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestImage } from '../../lab/image.ts';
import { Lab } from '../../lab/lab.ts';
import { ColoPair } from './colo-pair.ts';
import type { Pauses, Peer, Takeover } from './peer.ts';
import { spreadOf } from './samples.ts';

const FRESH_DELAY_MS = 100;
/** A new delay raises a checkpoint now and then. */
const SETTLE_MS = 30;

export class ColoPeer implements Peer {
  readonly lab: Lab;
  readonly pair: ColoPair;

  private constructor(lab: Lab, pair: ColoPair) {
    this.lab = lab;
    this.pair = pair;
  }

  /** @throws NotRunnable with QEMU's own words */
  static async start(image: GuestImage): Promise<ColoPeer> {
    const lab = await Lab.create();
    try {
      return new ColoPeer(lab, await ColoPair.start(lab, image));
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  /** `colo-N`: x-checkpoint-delay of N ms. */
  async configure(variant: string): Promise<void> {
    await this.pair.checkAlive();
    // A fresh checkpoint first: what its guests did while they were frozen is no longer compared.
    await this.pair.setDelay(FRESH_DELAY_MS);
    await this.pair.untilCheckpoint();
    await this.pair.setDelay(Number(variant.replace('colo-', '')));
    await sleep(SETTLE_MS);
    this.pair.pauses.forget();
  }

  async pauses(): Promise<Pauses | undefined> {
    await this.pair.checkAlive();
    return spreadOf(this.pair.pauses.take());
  }

  /** QEMU has no detection of its own: it is told at once. */
  async takeOver(): Promise<Takeover> {
    const startMs = performance.now();
    await this.pair.failOver();
    return { detectionMs: 0, resumeMs: performance.now() - startMs };
  }

  async close(): Promise<void> {
    this.pair.close();
    await this.lab.destroy();
  }
}
