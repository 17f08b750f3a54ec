/** The guest protected by curling, as an operator would have it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { Deployment } from '../../lab/deployment.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Pauses, Peer, Takeover } from './peer.ts';

/** On a loaded machine a silence of 300 ms does not mean that a host is dead. */
const FLAGS = ['--detection', '1500'];
const TAKE_OVER_MS_MAX = 20_000;
/** The standby that the backup starts for a new protection takes processor time at first. */
const SETTLE_MS = 300;

export class CurlingPeer implements Peer {
  readonly #deployment: Deployment;
  #resting = false;

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
    if (this.#resting) await this.#deployment.tell('a', 'protect');
    this.#resting = false;
    await this.#deployment.untilProtected('a', 20_000);
    await sleep(SETTLE_MS);
  }

  async rest(): Promise<void> {
    if (this.#resting) return;
    await this.#deployment.tell('a', 'unprotect');
    const alone = (status: CoordinatorStatus) => !status.protected;
    await this.#deployment.untilStatus('a', 'unprotected', alone, 20_000);
    this.#resting = true;
  }

  /** Of all checkpoints since the protection began. */
  async pauses(): Promise<Pauses | undefined> {
    const status = await this.#deployment.untilProtected('a', 1_000);
    return status.checkpoint.pauseMs;
  }

  async takeOver(killedMs: number): Promise<Takeover | undefined> {
    const holds = 'running the guest alone';
    const status = await this.#deployment.untilStatus(
      'b',
      holds,
      ({ state, failovers }) => state === 'SOLO' && failovers.length > 0,
      TAKE_OVER_MS_MAX,
    );
    const { at, decisionMs, resumeMs } = status.failovers.at(-1)!;
    const detectionMs = Math.max(0, Date.parse(at) - killedMs);
    return { detectionMs, resumeMs: decisionMs + resumeMs };
  }

  close(): Promise<void> {
    return this.#deployment.destroy();
  }
}
