/** Kills the host that runs the guest, again and again: each time the survivor gets a new backup in the dead one's place. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CoordinatorStatus, FailoverRecord } from '../../coordinator/status.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { wallMs } from '../../lab/client/wall-clock.ts';
import { Deployment } from '../../lab/deployment.ts';
import { unlessAborted } from './abort.ts';
import { BACKUP, PRIMARY, ramBytes } from './guest-rig.ts';
import { Probe, type Trips } from './probe.ts';

const PROTECT_MS_MAX = 45_000;
const FAIL_OVER_MS_MAX = 20_000;
/** Checkpoints that a new protection has behind it when its primary is killed. */
const EPOCHS_MIN = 3;

export interface Kill {
  /** Wall clock of the kill, ms. */
  atMs: number;
  record: FailoverRecord;
  /** Wall clock of the guest's first frame on the LAN from its new host, ms; undefined when none came. */
  firstFrameMs: number | undefined;
  trips: Trips;
}

/** What is measured of a kill; milliseconds. Pure. */
export function killValues({ atMs, record, firstFrameMs, trips }: Kill): Record<string, number> {
  const detection = Date.parse(record.at) - atMs;
  const gap = trips.silenceUs / 1000;
  return {
    detection,
    decision: record.decisionMs,
    resume: record.resumeMs,
    'first-frame': firstFrameMs === undefined ? Number.NaN : firstFrameMs - atMs,
    gap,
    unanswered: trips.sent - trips.received,
    'connections-lost': trips.lost ? 1 : 0,
    wrong: trips.wrong,
  };
}

export interface KillOptions {
  /** Pull the host's cables first: nobody is told, not even by the kernel that closes a dead process's connections. */
  silently: boolean;
  /** Echoes per second around the kill. */
  rate: number;
  /** How long they go on before it, and in all. */
  beforeMs: number;
  ms: number;
}

export class FailoverRig {
  readonly #deployment: Deployment;
  readonly #probe: Probe;
  readonly #signal: AbortSignal;
  #primary = PRIMARY;
  #backup = BACKUP;

  /** Boots a guest on the first host, protected by the second. */
  static async create(signal: AbortSignal, mebibytes: number): Promise<FailoverRig> {
    signal.throwIfAborted();
    const deployment = await Deployment.create({ guest: { ramBytes: ramBytes(mebibytes) } });
    try {
      const rig = new FailoverRig(deployment, await Probe.make(deployment.lab), signal);
      await unlessAborted(signal, rig.#boot());
      return rig;
    } catch (error) {
      await deployment.destroy();
      throw error;
    }
  }

  private constructor(deployment: Deployment, probe: Probe, signal: AbortSignal) {
    this.#deployment = deployment;
    this.#probe = probe;
    this.#signal = signal;
  }

  async #boot(): Promise<void> {
    const deployment = this.#deployment;
    await deployment.startGuest(PRIMARY);
    await deployment.startCoordinator(PRIMARY, { role: 'primary', peers: [BACKUP] });
    await deployment.startCoordinator(BACKUP, { role: 'backup', peers: [PRIMARY] });
  }

  /**
   * Waits until the guest is protected, kills its host, and sees what comes of it. When it throws, the guest may be lost.
   */
  async kill(options: KillOptions): Promise<Kill> {
    const kill = await unlessAborted(this.#signal, this.#kill(options));
    await unlessAborted(this.#signal, this.#replace());
    return kill;
  }

  async #kill({ silently, rate, beforeMs, ms }: KillOptions): Promise<Kill> {
    const [deployment, dying, surviving] = [this.#deployment, this.#primary, this.#backup];
    await deployment.untilProtected(dying, PROTECT_MS_MAX);
    const known = (await deployment.status(surviving))?.failovers.length ?? 0;
    const running = this.#probe.trips(SERVICE_PORTS.echo, rate, ms);
    running.catch(() => {});
    const first = await this.#probe.firstFrame(surviving, ms);
    const settled = (status: CoordinatorStatus) =>
      status.protected && status.checkpoint.commitMs.count >= EPOCHS_MIN;
    await deployment.untilStatus(dying, 'protected and committing', settled, PROTECT_MS_MAX);
    await sleep(beforeMs);
    const atMs = wallMs();
    if (silently) await deployment.lab.cut(dying);
    deployment.lab.kill(dying);
    const over = (status: CoordinatorStatus) => status.failovers.length > known;
    const status = await deployment.untilStatus(surviving, 'in charge', over, FAIL_OVER_MS_MAX);
    const firstUs = await first();
    return {
      atMs,
      record: status.failovers.at(-1)!,
      firstFrameMs: firstUs === undefined ? undefined : firstUs / 1000,
      trips: await running,
    };
  }

  /** The dead host comes back, empty, as the backup. */
  async #replace(): Promise<void> {
    [this.#primary, this.#backup] = [this.#backup, this.#primary];
    await this.#deployment.lab.restore(this.#backup);
    await this.#deployment.startProxy(this.#backup);
    await this.#deployment.startCoordinator(this.#backup, {
      role: 'backup',
      peers: [this.#primary],
    });
  }

  close(): Promise<void> {
    return this.#deployment.destroy();
  }
}
