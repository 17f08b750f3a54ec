/**
 * Keeps a standby QEMU up on a shadow, and starts another one when it dies: a standby leaves the shadow as it finds it,
 * so it can be replaced at any time.
 */
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError, messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { CoordinatorConfig } from './config.ts';
import type { IdentityFile } from './identity.ts';
import { Standby } from './qemu/standby.ts';
import type { StandbyMemory } from './qemu/standby-arguments.ts';

/** Standbys that may die on one shadow before none is started any more. */
const DEATHS_MAX = 3;

export interface StandbyKeeperModules {
  config: CoordinatorConfig;
  identity: IdentityFile;
  log: Logger;
}

export class StandbyKeeper {
  readonly #modules: StandbyKeeperModules;
  #memory: StandbyMemory | undefined;
  #standby: Standby | undefined;
  #starting: Promise<Standby> | undefined;
  #deaths = 0;

  constructor(modules: StandbyKeeperModules) {
    this.#modules = modules;
  }

  /** Whether `ready` can be hoped to work. */
  get hopeful(): boolean {
    return this.#memory !== undefined && this.#deaths <= DEATHS_MAX;
  }

  /** Whether a standby of this size is kept. */
  fits(ramBytes: number): boolean {
    return this.#memory?.ramBytes === ramBytes && this.hopeful;
  }

  /**
   * The standby on the shadow that was named last; started when there is none.
   * @param memory Another shadow; the standby of the one before is ended.
   * @throws CurlingError CURLING_QEMU_START
   */
  async ready(memory?: StandbyMemory): Promise<Standby> {
    if (memory) {
      await this.end();
      this.#memory = memory;
    }
    if (this.#standby) return this.#standby;
    if (!this.#memory || !this.hopeful) {
      throw new CurlingError('CURLING_QEMU_START', 'there is no standby QEMU on this host');
    }
    this.#starting ??= this.#start(this.#memory).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  /** The standby has become the guest: it is not kept any more. */
  release(): void {
    this.#standby = undefined;
    this.#memory = undefined;
    this.#modules.identity.setStandby(null);
  }

  /** Ends a standby that could not become the guest, so that `ready` starts another one. */
  async discard(standby: Standby): Promise<void> {
    if (this.#standby === standby) this.#standby = undefined;
    this.#deaths++;
    await standby.kill();
  }

  /** Ends the standby; none is started by itself. */
  async end(): Promise<void> {
    this.#memory = undefined;
    this.#deaths = 0;
    await this.#starting?.catch(() => {});
    const standby = this.#standby;
    this.#standby = undefined;
    this.#modules.identity.setStandby(null);
    await standby?.kill();
  }

  /** Ends the standby that a coordinator before this one left. */
  endOrphan(): void {
    const { config, identity, log } = this.#modules;
    const pid = identity.current.standbyPid;
    identity.setStandby(null);
    if (pid === null || !commandLineOf(pid).includes(qmpPathOf(config))) return;
    log.warn({ pid }, 'ending the standby QEMU of a coordinator before this one');
    process.kill(pid, 'SIGKILL');
  }

  async #start(memory: StandbyMemory): Promise<Standby> {
    const { config, identity } = this.#modules;
    const standby = await Standby.start({
      argv: config.standbyCommand,
      memory,
      qmpPath: qmpPathOf(config),
      incomingPath: path.join(config.runDir, 'incoming.sock'),
      logPath: path.join(config.runDir, 'qemu.log'),
    });
    this.#standby = standby;
    identity.setStandby(standby.pid ?? null);
    void standby.exited.then(how => this.#died(standby, how));
    return standby;
  }

  #died(standby: Standby, how: string): void {
    if (this.#standby !== standby) return;
    this.#standby = undefined;
    this.#deaths++;
    const { log } = this.#modules;
    log.error(`the standby QEMU ended: ${how}`);
    this.ready().catch(error => log.error(messageOf(error)));
  }
}

/** The monitor of the standby, and of the guest that it becomes. */
export function qmpPathOf(config: CoordinatorConfig): string {
  return path.join(config.runDir, 'standby.qmp');
}

/** The arguments of a process, empty when there is none. */
function commandLineOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
