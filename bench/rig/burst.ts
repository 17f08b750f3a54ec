/**
 * Bursts of numbered frames that a proxy holds and then lets go, checked frame by frame outside. The clock is
 * CLOCK_MONOTONIC throughout: Node's here, and the kernel's time stamp of each frame that came out.
 */
import type { JsonObject } from '../../common/qmp/messages.ts';
import { CARD, MACS, Rig } from './rig.ts';
import { type ProxyOptions, RigProxy } from './rig-proxy.ts';
import type { ToolProcess } from './tool-process.ts';

const SEND_MS_MAX = 30_000;
const RELEASE_MS_MAX = 30_000;

/** What the outside saw of a burst. Times count from the moment when `release` was sent. */
export interface BurstResult {
  firstUs: number;
  lastUs: number;
  /** From the first frame to the last one. */
  mpps: number;
  lost: number;
  /** Frames that came behind a later one. */
  late: number;
  duplicates: number;
  /** How long the answer to `release` took. */
  answerUs: number;
}

export class Bursts {
  readonly #rig: Rig;
  readonly proxy: RigProxy;
  #run = 0;

  private constructor(rig: Rig, proxy: RigProxy) {
    this.#rig = rig;
    this.proxy = proxy;
  }

  /** @throws CurlingError of Rig.create and RigProxy.start; nothing is left then. */
  static async open(options: ProxyOptions): Promise<Bursts> {
    const rig = await Rig.create({ guest: 'veth' });
    try {
      return new Bursts(rig, await RigProxy.start(rig, options));
    } catch (error) {
      rig.remove();
      throw error;
    }
  }

  /** Starts the sink of the next burst. It must be given to `release` or ended. */
  expect(frames: number): Promise<ToolProcess> {
    return this.#rig.start('outside', 'frame-verify', CARD, ++this.#run, frames).ready();
  }

  /** Sends the burst that was announced last; returns when the guest's card has taken all of it. */
  async send(frames: number, bytes: number): Promise<void> {
    const what = [CARD, MACS.outside, bytes, this.#run, 'frames', frames] as const;
    await this.#rig.start('guest', 'frame-send', ...what).said('result', SEND_MS_MAX);
  }

  /** Seals the open epoch. Returns how long that took, and the epoch. */
  async seal(): Promise<{ us: number; epoch: number }> {
    const startNs = nowNs();
    const { epoch } = await this.proxy.execute('seal');
    return { us: (nowNs() - startNs) / 1000, epoch: Number(epoch) };
  }

  /** Releases an epoch. Returns how long the answer took, and when it was asked for. */
  async release(epoch: number): Promise<{ us: number; startNs: number }> {
    const startNs = nowNs();
    await this.proxy.execute('release', { epoch });
    return { us: (nowNs() - startNs) / 1000, startNs };
  }

  /** Releases an epoch and waits for what comes out. The sink ends. */
  async releaseTo(sink: ToolProcess, epoch: number): Promise<BurstResult> {
    const { startNs, us } = await this.release(epoch);
    // The sink ends by itself when all have come; what does not come is lost.
    const giveUp = setTimeout(() => sink.finish(), RELEASE_MS_MAX / 3);
    try {
      return burstResult(await sink.said('result', RELEASE_MS_MAX), startNs, us);
    } finally {
      clearTimeout(giveUp);
      await sink.end();
    }
  }

  async close(): Promise<void> {
    await this.proxy.execute('discard').catch(() => undefined);
    await this.proxy.end().catch(() => undefined);
    this.#rig.remove();
  }
}

function burstResult(seen: JsonObject, startNs: number, answerUs: number): BurstResult {
  // Frames that the sink itself had no room for say nothing about the proxy.
  if (Number(seen.unseen) > 0) throw new Error(`the sink missed ${seen.unseen} frames itself`);
  const firstNs = Number(seen.firstNs);
  const lastNs = Number(seen.lastNs);
  return {
    firstUs: (firstNs - startNs) / 1000,
    lastUs: (lastNs - startNs) / 1000,
    mpps: (Number(seen.frames) / (lastNs - firstNs)) * 1e3,
    lost: Number(seen.missing),
    late: Number(seen.late),
    duplicates: Number(seen.duplicates),
    answerUs,
  };
}

function nowNs(): number {
  return Number(process.hrtime.bigint());
}
