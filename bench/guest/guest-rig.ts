/**
 * One guest, on which many runs are made: protected in one way or another, or not at all. It never restarts. Changing
 * the schedule starts the primary's coordinator again, which takes about a second with the new full copy.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { CONTROL_PORTS } from '../../lab/client/control.ts';
import { Deployment } from '../../lab/deployment.ts';
import type { GuestOptions } from '../../lab/qemu.ts';
import { unlessAborted } from './abort.ts';
import { type Mode, scheduleFlags } from './mode.ts';
import { Probe } from './probe.ts';

export const PRIMARY = 'a';
export const BACKUP = 'b';
/** A loaded machine must not be taken for a dead one while something else is measured. */
const PATIENT = ['--detection', '1500'];
const CHANGE_MS_MAX = 40_000;
const END_MS_MAX = 10_000;
/** The standby that a backup starts for a new protection takes processor time at first. */
const SETTLE_MS = 250;

/** Under TCG, RAM must not be a multiple of 256 KiB (lab/qemu.ts): 8 KiB less than so many MiB. */
export function ramBytes(mebibytes: number): number {
  return mebibytes * 2 ** 20 - 8192;
}

export interface GuestRigOptions {
  signal: AbortSignal;
  /** The guest's memory. Default 128 MiB. */
  mebibytes?: number;
  /** Its shape instead. */
  guest?: Omit<GuestOptions, 'image'>;
}

export class GuestRig {
  readonly deployment: Deployment;
  readonly probe: Probe;
  readonly #signal: AbortSignal;
  /** Undefined while nothing is known of it. */
  #mode: Mode | undefined;
  #flags: readonly string[] | undefined;
  #coordinator: ChildProcess | undefined;

  /** Boots the guest, unprotected, on the first of two hosts, and starts a coordinator on the second. */
  static async create(options: GuestRigOptions): Promise<GuestRig> {
    const guest = options.guest ?? { ramBytes: ramBytes(options.mebibytes ?? 128) };
    options.signal.throwIfAborted();
    const deployment = await Deployment.create({ guest });
    try {
      const rig = new GuestRig(deployment, await Probe.make(deployment.lab), options.signal);
      await unlessAborted(options.signal, rig.#boot());
      return rig;
    } catch (error) {
      await deployment.destroy();
      throw error;
    }
  }

  private constructor(deployment: Deployment, probe: Probe, signal: AbortSignal) {
    this.deployment = deployment;
    this.probe = probe;
    this.#signal = signal;
  }

  async #boot(): Promise<void> {
    await this.deployment.startGuest(PRIMARY);
    // Without a coordinator the proxy holds what the guest says.
    await this.#startCoordinator([]);
    await this.#unprotect();
    this.#mode = 'unprotected';
    await this.deployment.startCoordinator(BACKUP, {
      role: 'backup',
      peers: [PRIMARY],
      flags: PATIENT,
    });
  }

  /**
   * Returns when the guest is protected in this mode, or runs without. `fresh`: by a protection that begins now, with
   * these further options of the coordinator.
   */
  async become(mode: Mode, fresh = false, options: readonly string[] = []): Promise<void> {
    if (mode === this.#mode && !fresh) return;
    await unlessAborted(this.#signal, this.#become(mode, options));
    this.#mode = mode;
  }

  async #become(mode: Mode, options: readonly string[]): Promise<void> {
    if (mode === 'unprotected') return this.#unprotect();
    const flags = [...scheduleFlags(mode), ...options];
    if (this.#coordinator && this.#flags?.join() === flags.join()) {
      if (this.#mode !== 'unprotected') await this.#unprotect();
      await this.deployment.tell(PRIMARY, 'protect');
    } else await this.#startCoordinator(flags);
    await this.deployment.untilProtected(PRIMARY, CHANGE_MS_MAX);
    await sleep(SETTLE_MS);
  }

  async #unprotect(): Promise<void> {
    if (!this.#coordinator) await this.#startCoordinator([]);
    await this.deployment.tell(PRIMARY, 'unprotect');
    const alone = (status: CoordinatorStatus) => status.state === 'SOLO';
    await this.deployment.untilStatus(PRIMARY, 'unprotected', alone, CHANGE_MS_MAX);
  }

  async #startCoordinator(flags: readonly string[]): Promise<void> {
    await this.withoutCoordinator();
    this.#coordinator = await this.deployment.startCoordinator(PRIMARY, {
      role: 'primary',
      peers: [BACKUP],
      flags: [...PATIENT, ...flags],
    });
    this.#flags = flags;
  }

  /** Ends the primary's coordinator; the guest runs on unprotected, and its monitor is free. */
  async withoutCoordinator(): Promise<void> {
    const coordinator = this.#coordinator;
    // One that ended while it protects would leave the output held.
    if (coordinator && this.#mode !== 'unprotected') await this.#unprotect();
    this.#coordinator = undefined;
    this.#flags = undefined;
    this.#mode = undefined;
    if (!coordinator || coordinator.exitCode !== null || coordinator.signalCode !== null) return;
    const ended = once(coordinator, 'exit');
    const late = sleep(END_MS_MAX, 'late', { ref: false });
    coordinator.kill('SIGTERM');
    if ((await Promise.race([ended, late])) === 'late')
      throw new CurlingError('CURLING_TIMEOUT', `the coordinator does not end; ${END_MS_MAX} ms`);
  }

  /** @throws CurlingError when the coordinator does not answer, or has lost the protection that it should have */
  async status(): Promise<CoordinatorStatus> {
    const status = await this.deployment.status(PRIMARY);
    if (!status) throw new CurlingError('CURLING_CONNECTION_LOST', 'the coordinator is silent');
    if (this.#mode !== 'unprotected' && !status.protected)
      throw new CurlingError('CURLING_STATE', `unprotected in a run: ${status.reason}`);
    return status;
  }

  /** What a run is made of: it is given up when the benchmark is. */
  during<T>(work: Promise<T>): Promise<T> {
    return unlessAborted(this.#signal, work);
  }

  /** Pages that the guest dirties from now on, each second and in turn over a span; 0 for none. */
  async dirty(pagesPerSecond: number, spanMebibytes = 16): Promise<void> {
    const rate = Math.round(pagesPerSecond);
    const line = rate > 0 ? `start ${rate} ${spanMebibytes}` : 'stop';
    await this.during(this.probe.ask(CONTROL_PORTS.dirty, line));
  }

  /** Bytes that the primary has sent over the replication link, as its interface counts them. */
  async wireBytes(): Promise<number> {
    const host = this.deployment.lab.host(PRIMARY);
    const counter = `/sys/class/net/${host.replicationInterface}/statistics/tx_bytes`;
    return Number(await host.run('cat', [counter]));
  }

  close(): Promise<void> {
    return this.deployment.destroy();
  }
}
