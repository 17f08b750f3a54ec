/** The guest protected by curling, as an operator would have it. */
import { Deployment } from '../../lab/deployment.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Pauses, Peer, Takeover } from './peer.ts';

/** On a loaded machine a silence of 300 ms does not mean that a host is dead. */
const FLAGS = ['--detection', '1500'];
const TAKE_OVER_MS_MAX = 20_000;

export class CurlingPeer implements Peer {
  readonly #deployment: Deployment;

  private constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  static async start(): Promise<CurlingPeer> {
    const deployment = await Deployment.create();
    try {
      await deployment.startGuest('a');
      const [primary, backup] = ['primary', 'backup'] as const;
      await deployment.startCoordinator('a', { role: primary, peers: ['b'], flags: FLAGS });
      await deployment.startCoordinator('b', { role: backup, peers: ['a'], flags: FLAGS });
      await deployment.untilProtected('a');
      return new CurlingPeer(deployment);
    } catch (error) {
      await deployment.destroy();
      throw error;
    }
  }

  get lab(): Lab {
    return this.#deployment.lab;
  }

  async configure(): Promise<void> {
    await this.#deployment.untilProtected('a', 10_000);
  }

  /** Of all checkpoints since the protection began. */
  async pauses(): Promise<Pauses | undefined> {
    const status = await this.#deployment.untilProtected('a', 1_000);
    return status.checkpoint.pauseMs;
  }

  async takeOver(): Promise<Takeover | undefined> {
    const holds = 'running the guest alone';
    const status = await this.#deployment.untilStatus(
      'b',
      holds,
      ({ state, failovers }) => state === 'SOLO' && failovers.length > 0,
      TAKE_OVER_MS_MAX,
    );
    const { silentMs, decisionMs, resumeMs } = status.failovers.at(-1)!;
    return { detectionMs: silentMs, resumeMs: decisionMs + resumeMs };
  }

  close(): Promise<void> {
    return this.#deployment.destroy();
  }
}
