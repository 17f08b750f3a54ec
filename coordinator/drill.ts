/**
 * The drill: would the failover work right now? The committed checkpoint is loaded into a spare QEMU beside the standby,
 * which stays paused and is thrown away, while the pair goes on.
 *
 *   1. the standby is asked whether it waits for a state
 *   2. a spare is started, on a private view of the shadow and with nothing that leads outside (drill-arguments.ts),
 *      and its devices are compared with the guest's
 *   3. commits are put off, so that the shadow is the checkpoint whose devices are loaded, and nothing newer: a card
 *      whose queue in memory is ahead of its saved state is refused (`VQ 1 size 0x100 < last_avail_idx …`). What the
 *      guest says waits as long, at most LOAD_MS_MAX
 *   4. the checkpoint is loaded; commits go on, and the spare is killed
 *
 * A drill never stands in the way of a failover: `end` kills its QEMU and returns, and the standby, its monitor, its
 * socket and its taps are never touched. What is found bad is said, and changes nothing else.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../common/clock.ts';
import { asCurlingError, CurlingError } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { CommittedGuest } from './checkpoint/store.ts';
import type { CoordinatorConfig } from './config.ts';
import { drillArguments } from './qemu/drill-arguments.ts';
import { compareGuests, describeGuest } from './qemu/guest-description.ts';
import { queryObject } from './qemu/qmp-queries.ts';
import { Standby } from './qemu/standby.ts';
import type { StandbyMemory } from './qemu/standby-arguments.ts';
import type { DrillRecord } from './status.ts';
import { resumeStream, shorten } from './trial.ts';

/** For all of it; most of that is the start of a QEMU. */
const DRILL_MS_MAX = 20_000;
/** For the load, during which commits wait. */
const LOAD_MS_MAX = 1_000;
/** For an answer of the standby. */
const STANDBY_MS_MAX = 2_000;
/** What a QEMU takes besides the memory of its guest, generously. */
const QEMU_BYTES = 256 << 20;
/** Words of a command that makes QEMU take the guest's memory a second time. */
const FILLS_MEMORY = /^--?mem-prealloc$|prealloc=(on|true|yes)|mem-lock=(on|true|yes)/;

/** What a drill is made with, and on. */
export interface DrillSubject {
  memory: StandbyMemory;
  /** The guest as the primary described it: any JSON. */
  guest: unknown;
  /** @throws CurlingError when there is none */
  standby(): Promise<Standby>;
  /** Puts commits off; `over` is called with the reason if they had to go on before `goOn`. */
  hold(over: (why: string) => void): void;
  /** The committed checkpoint. */
  view(): CommittedGuest;
  /** Takes the commits that waited, and returns for how many milliseconds the first one did. */
  goOn(nowMs: number): number;
}

/** A drill that went well. */
export interface DrillDone {
  loaded: true;
  /** The checkpoint that was loaded. */
  epoch: number;
  /** Milliseconds until the spare QEMU was up. */
  startMs: number;
  /** Milliseconds in which it loaded the checkpoint. */
  loadMs: number;
  /** Milliseconds for which the first checkpoint that came meanwhile waited to be committed; 0 when none came. */
  delayMsMax: number;
}

export interface DrillModules {
  config: CoordinatorConfig;
  clock: Clock;
  log: Logger;
  /** Tells management tools; the event gets what all events of a coordinator have. */
  emit(event: string, data: Record<string, unknown>): void;
  /** Bytes of memory that can be had. Default that of the process, whose control group counts. */
  freeBytes?: () => number;
}

export class Drill {
  readonly #modules: DrillModules;
  #underWay: AbortController | undefined;
  #last: DrillRecord | null = null;

  constructor(modules: DrillModules) {
    this.#modules = modules;
  }

  /** The newest drill since this process started; null before. */
  get last(): DrillRecord | null {
    return this.#last;
  }

  /**
   * Makes a drill and returns when it is over and its QEMU is gone.
   * @throws CurlingError CURLING_STATE while there is one; CURLING_DRILL when it gave no answer, or could not begin;
   *   else with what would be in the way of a failover: CURLING_QEMU_RESUME in QEMU's words, CURLING_QEMU_MISMATCH,
   *   CURLING_QEMU_START, or that of a standby which does not answer
   */
  async run(subject: DrillSubject): Promise<DrillDone> {
    if (this.#underWay) throw new CurlingError('CURLING_STATE', 'a drill is under way already');
    const argv = drillArguments(this.#modules.config.standbyCommand);
    this.#checkMemory(argv, subject);
    const underWay = new AbortController();
    this.#underWay = underWay;
    const { signal } = underWay;
    const timer = setTimeout(() => this.end(`it took more than ${DRILL_MS_MAX} ms`), DRILL_MS_MAX);
    const at = new Date().toISOString();
    const about: About = { epoch: null };
    try {
      const done = await this.#rehearse(argv, subject, signal, about);
      const { epoch, loadMs, delayMsMax } = done;
      const reason = saidOf(done);
      this.#record({ at, ok: true, epoch, loadMs, delayMsMax, code: null, reason });
      return done;
    } catch (thrown) {
      // Whatever its QEMU said when it was killed is no answer.
      const error = asCurlingError(signal.aborted ? signal.reason : thrown);
      const { code } = error;
      const reason = shorten(error.message);
      this.#record({ at, ok: false, ...about, loadMs: null, delayMsMax: null, code, reason });
      throw error;
    } finally {
      clearTimeout(timer);
      this.#underWay = undefined;
    }
  }

  /** Ends a drill that is under way: its QEMU is killed before this returns. */
  end(why: string): void {
    const text = `the drill was ended: ${why}`;
    this.#underWay?.abort(new CurlingError('CURLING_DRILL', text));
  }

  async #rehearse(
    argv: string[],
    subject: DrillSubject,
    signal: AbortSignal,
    about: About,
  ): Promise<DrillDone> {
    const { clock } = this.#modules;
    const start = clock.now();
    await checkStandby(await subject.standby());
    signal.throwIfAborted();
    const spare = await this.#start(argv, subject.memory, signal);
    try {
      const differences = compareGuests(await describeGuest(spare.qmp), subject.guest, {
        here: 'in the spare QEMU',
        there: 'in the guest',
      });
      if (differences.length > 0) {
        const text = `the standby's command makes another machine now: ${differences.join('; ')}`;
        throw new CurlingError('CURLING_QEMU_MISMATCH', text);
      }
      signal.throwIfAborted();
      const startMs = clock.now() - start;
      return { ...(await this.#load(spare, subject, about)), startMs };
    } finally {
      await spare.kill();
    }
  }

  /** Loads the checkpoint, and lets commits go on. */
  async #load(
    spare: Standby,
    subject: DrillSubject,
    about: About,
  ): Promise<Omit<DrillDone, 'startMs'>> {
    const { clock } = this.#modules;
    const begin = clock.now();
    subject.hold(why => this.end(why));
    const timer = setTimeout(() => {
      this.end(`the checkpoint was not loaded in ${LOAD_MS_MAX} ms, and commits wait no longer`);
      subject.goOn(clock.now());
    }, LOAD_MS_MAX);
    let delayMsMax = 0;
    let loadMs = 0;
    try {
      const guest = subject.view();
      about.epoch = guest.epoch;
      await spare.load(resumeStream(guest));
      loadMs = clock.now() - begin;
    } finally {
      clearTimeout(timer);
      delayMsMax = subject.goOn(clock.now());
    }
    return { loaded: true, epoch: about.epoch, loadMs, delayMsMax };
  }

  #start(argv: string[], memory: StandbyMemory, signal: AbortSignal): Promise<Standby> {
    const { runDir } = this.#modules.config;
    const logPath = path.join(runDir, 'drill.log');
    fs.rmSync(logPath, { force: true });
    return Standby.start({
      argv,
      memory,
      duty: 'drill',
      qmpPath: path.join(runDir, 'drill.qmp'),
      incomingPath: path.join(runDir, 'drill.sock'),
      logPath,
      signal,
    });
  }

  /** The spare sees the shadow, and takes memory only for what its devices change. */
  #checkMemory(argv: readonly string[], { memory }: DrillSubject): void {
    const fills = argv.some(word => FILLS_MEMORY.test(word));
    const needed = QEMU_BYTES + (fills ? memory.ramBytes : 0);
    const free = this.#modules.freeBytes?.() ?? process.availableMemory();
    if (free >= needed) return;
    const mib = (bytes: number) => `${Math.floor(bytes / 2 ** 20)} MiB`;
    const text = `a drill needs ${mib(needed)} of memory, and ${mib(free)} are free`;
    throw new CurlingError('CURLING_DRILL', text);
  }

  #record(record: DrillRecord): void {
    this.#last = record;
    const { log, emit } = this.#modules;
    const { ok, code, epoch, loadMs, delayMsMax, reason } = record;
    if (ok) {
      log.info({ epoch, loadMs, delayMsMax }, `drill: ${reason}`);
      emit('DRILL_DONE', { epoch, loadMs, delayMsMax, reason });
    } else {
      log.error({ code, epoch }, `drill: ${reason}`);
      emit('DRILL_FAILED', { epoch, code, reason });
    }
  }
}

/** What is known of a drill before its end. */
interface About {
  epoch: number | null;
}

/** Whether the standby would take a state now. */
async function checkStandby(standby: Standby): Promise<void> {
  const options = { timeoutMs: STANDBY_MS_MAX };
  const { status } = await queryObject(standby.qmp, 'query-status', {}, options);
  if (status === 'inmigrate') return;
  const text = `the standby QEMU does not wait for a state: it is ${status}`;
  throw new CurlingError('CURLING_QEMU_RESUME', text);
}

function saidOf({ epoch, loadMs, delayMsMax }: DrillDone): string {
  const waited = delayMsMax > 0 ? `; commits waited ${delayMsMax.toFixed(1)} ms` : '';
  return `checkpoint ${epoch} was loaded in ${loadMs.toFixed(1)} ms${waited}`;
}
