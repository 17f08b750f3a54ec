/**
 * Keeps a standby QEMU up on a shadow, and starts another one when it dies: a standby leaves the shadow as it finds it,
 * so it can be replaced at any time.
 *
 * There is one QEMU at a time: the spare of a trial load stands in the standby's place, with the same command, monitor and
 * taps, until its trial is over. So nothing on the command line has to be unique, and one process id is enough for the
 * coordinator after this one to find it.
 */
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import type { CoordinatorConfig } from './config.ts';
import type { IdentityFile } from './identity.ts';
import { Standby } from './qemu/standby.ts';
import type { StandbyDuty, StandbyMemory } from './qemu/standby-arguments.ts';
import type { StandbyWord } from './replication/types.ts';

/** Between a standby that could not be started in the place of one that died, and the next attempt. */
const RESTART_MS = 1_000;
/** Standbys that may die on one shadow before none is started any more. */
const DEATHS_MAX = 3;

export interface StandbyKeeperModules {
  config: CoordinatorConfig;
  identity: IdentityFile;
  log: Logger;
  /** A standby has died, or could not be replaced; or one is up in its place. Not of a spare on trial. */
  standby(word: StandbyWord): void;
}

export class StandbyKeeper {
  readonly #modules: StandbyKeeperModules;
  #memory: StandbyMemory | undefined;
  #standby: Standby | undefined;
  #duty: StandbyDuty = 'standby';
  /** A spare under trial may end: that is an answer. */
  #trying = false;
  /** Starts and ends of QEMUs, one after the other: a tap has room for one. */
  #work: Promise<unknown> = Promise.resolve();
  #deaths = 0;
  /** Why there is no standby although one is kept; undefined while there is one. */
  #lost: string | undefined;
  /** A primary that comes again and again has a standby started each time. */
  readonly #deathLines: LimitedLog;

  constructor(modules: StandbyKeeperModules) {
    this.#modules = modules;
    this.#deathLines = new LimitedLog(modules.log);
  }

  /** What the standby has mapped; undefined when none is kept. */
  get memory(): StandbyMemory | undefined {
    return this.#memory;
  }

  /** Whether `ready` can be hoped to work. */
  get hopeful(): boolean {
    return this.#memory !== undefined && this.#deaths <= DEATHS_MAX;
  }

  /** Whether a standby is up, and not a spare on trial. */
  get up(): boolean {
    return this.#standby !== undefined && this.#duty === 'standby';
  }

  /** Why there is no standby, although there should be one; null when there is one, or should be none. */
  get lost(): string | null {
    return this.#lost ?? null;
  }

  /** Whether a standby with this main memory is kept. */
  fits(mainBlock: string, ramBytes: number): boolean {
    const memory = this.#memory;
    return memory?.mainBlock === mainBlock && memory.ramBytes === ramBytes && this.hopeful;
  }

  /**
   * The standby on the shadow that was named last; started when there is none.
   * @param memory Another shadow; the standby of the one before is ended.
   * @throws CurlingError CURLING_QEMU_START
   */
  ready(memory?: StandbyMemory): Promise<Standby> {
    return this.#get('standby', memory);
  }

  /**
   * As `ready`, but a QEMU for `tryLoad`: on a private view of the shadow, and paused.
   * @throws CurlingError CURLING_QEMU_START
   */
  spare(memory?: StandbyMemory): Promise<Standby> {
    return this.#get('trial', memory);
  }

  /**
   * Loads a guest's state into the spare, ends that, and returns when the standby is up in its place.
   * @throws CurlingError CURLING_QEMU_RESUME in QEMU's words when it does not load, also when `end` came meanwhile;
   *   CURLING_QEMU_START
   */
  async tryLoad(stream: readonly Buffer[]): Promise<void> {
    const spare = await this.spare();
    this.#trying = true;
    try {
      await spare.load(stream);
    } finally {
      this.#trying = false;
      await this.#alone(() => this.#kill(spare));
    }
    await this.ready();
  }

  /** The standby has become the guest: it is not kept any more. */
  release(): void {
    this.#standby = undefined;
    this.#memory = undefined;
    this.#lost = undefined;
    this.#modules.identity.setStandby(null);
  }

  /** Ends a standby that could not become the guest, so that `ready` starts another one. */
  async discard(standby: Standby): Promise<void> {
    if (this.#standby === standby) this.#standby = undefined;
    this.#deaths++;
    await standby.kill();
  }

  /** Ends the standby, or the spare and with it its trial; none is started by itself. */
  async end(): Promise<void> {
    this.#memory = undefined;
    this.#deaths = 0;
    this.#lost = undefined;
    await this.#alone(() => this.#kill());
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

  #get(duty: StandbyDuty, memory?: StandbyMemory): Promise<Standby> {
    return this.#alone(async () => {
      if (memory) {
        this.#memory = memory;
        this.#deaths = 0;
      }
      if (this.#standby && this.#duty === duty && !memory) return this.#standby;
      await this.#kill();
      if (!this.#memory || !this.hopeful) {
        throw new CurlingError('CURLING_QEMU_START', 'there is no standby QEMU on this host');
      }
      return this.#start(this.#memory, duty);
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#work.then(work);
    this.#work = mine.catch(() => {});
    return mine;
  }

  /** Ends the QEMU that is there, or only `which`. */
  async #kill(which = this.#standby): Promise<void> {
    if (!which || this.#standby !== which) return;
    this.#standby = undefined;
    this.#modules.identity.setStandby(null);
    await which.kill();
  }

  async #start(memory: StandbyMemory, duty: StandbyDuty): Promise<Standby> {
    const { config, identity } = this.#modules;
    const standby = await Standby.start({
      argv: config.standbyCommand,
      memory,
      duty,
      qmpPath: qmpPathOf(config),
      incomingPath: path.join(config.runDir, 'incoming.sock'),
      logPath: path.join(config.runDir, 'qemu.log'),
    });
    this.#standby = standby;
    this.#duty = duty;
    this.#lost = undefined;
    identity.setStandby(standby.pid ?? null);
    void standby.exited.then(how => this.#died(standby, how));
    return standby;
  }

  #died(standby: Standby, how: string): void {
    if (this.#standby !== standby) return;
    this.#standby = undefined;
    if (this.#trying) return;
    void this.#replace(`the standby QEMU ended: ${how}`);
  }

  /** Starts another standby, again and again while that can be hoped to work. */
  async #replace(reason: string): Promise<void> {
    const memory = this.#memory;
    const wanted = () => memory !== undefined && this.#memory === memory;
    this.#deaths++;
    this.#say(reason);
    while (wanted() && this.hopeful) {
      try {
        await this.#get(this.#duty);
        if (!wanted() || this.#duty !== 'standby') return;
        return this.#modules.standby({ up: true, reason: `another one is up; ${reason}` });
      } catch (error) {
        if (!wanted()) return;
        this.#deaths++;
        this.#say(messageOf(error));
        await sleep(RESTART_MS, undefined, { ref: false });
      }
    }
  }

  #say(why: string): void {
    const over = `; that was number ${this.#deaths} on this copy, and no other one is started`;
    const reason = this.hopeful ? why : why + over;
    this.#deathLines.say('error', {}, reason);
    if (!this.#memory || this.#duty !== 'standby') return;
    this.#lost = reason;
    this.#modules.standby({ up: false, reason });
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
