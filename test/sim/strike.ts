/** One fault while it lasts: what it does to whom, and how it ends. */
import type { Fault, Target, Way } from './faults.ts';
import type { HostPart, SimHost } from './host.ts';
import { TIMES } from './life.ts';
import type { Simulation } from './simulation.ts';

export interface StrikeTimes {
  /** Below a detection time. */
  shortMs: number;
  /** Above three of them. */
  longMs: number;
  /** A process or host that was killed is started again after this. */
  downMs: number;
}

export const STRIKE_TIMES: StrikeTimes = {
  shortMs: 0.4 * TIMES.silenceMs,
  longMs: 3.5 * TIMES.silenceMs,
  downMs: 5 * TIMES.silenceMs,
};

/** What a process or host may be, with its role. */
const PARTS: Partial<Record<Target, readonly ['primary' | 'backup', HostPart]>> = {
  'primary-coordinator': ['primary', 'coordinator'],
  'primary-qemu': ['primary', 'qemu'],
  'primary-proxy': ['primary', 'proxy'],
  'backup-coordinator': ['backup', 'coordinator'],
  'backup-standby': ['backup', 'standby'],
  'backup-proxy': ['backup', 'proxy'],
};

const FLAPS = 5;

export class Strike {
  /** Whether everything is as it was, or stays as it is. */
  over = false;
  readonly #sim: Simulation;
  readonly #times: StrikeTimes;
  readonly #roles: { primary: SimHost; backup: SimHost };

  constructor(
    sim: Simulation,
    roles: { primary: SimHost; backup: SimHost },
    times: StrikeTimes = STRIKE_TIMES,
  ) {
    this.#sim = sim;
    this.#roles = roles;
    this.#times = times;
  }

  begin(fault: Fault): void {
    switch (fault.kind) {
      case 'kill':
        return this.#kill(fault.target);
      case 'pause':
        return this.#pause(fault.target, fault.length);
      case 'cut':
        return this.#cut(fault.ways, this.#times.longMs, 0);
      case 'flap':
        return this.#cut(fault.ways, this.#times.shortMs / 2, FLAPS - 1);
    }
  }

  #kill(target: Target): void {
    const { downMs } = this.#times;
    const part = PARTS[target];
    if (target === 'witness') {
      this.#sim.witness.process.kill();
      return this.#after(downMs, () => this.#sim.startWitness());
    }
    if (!part) {
      const host = this.#hostOf(target);
      host.crash();
      return this.#after(downMs, () => host.boot());
    }
    const host = this.#roles[part[0]];
    const down = part[1] === 'coordinator';
    host.kill(part[1], down);
    this.#after(down ? downMs : 0, () => host.allow(part[1]));
  }

  #pause(target: Target, length: 'short' | 'long' | 'forever'): void {
    const { shortMs, longMs, downMs } = this.#times;
    const part = PARTS[target];
    const process = part && this.#roles[part[0]].processOf(part[1]);
    const { witness } = this.#sim;
    const stopped = target === 'witness' ? witness.process : process;
    if (stopped) stopped.pause();
    else if (!part) this.#hostOf(target).pauseAll();
    if (length === 'forever') return this.#after(downMs, () => {});
    this.#after(length === 'short' ? shortMs : longMs, () => {
      if (stopped) stopped.resume();
      else if (!part) this.#hostOf(target).resumeAll();
    });
  }

  #cut(ways: readonly Way[], lengthMs: number, again: number): void {
    const links = ways.map(way => [this.#node(way[0]!), this.#node(way[2]!)] as const);
    for (const [from, to] of links) this.#sim.network.cut(from, to);
    this.#sim.loop.after(lengthMs, () => {
      for (const [from, to] of links) this.#sim.network.heal(from, to);
      if (again === 0) this.over = true;
      else this.#sim.loop.after(lengthMs, () => this.#cut(ways, lengthMs, again - 1));
    });
  }

  #node(letter: string): number {
    if (letter === 'w') return this.#sim.witness.node;
    return letter === 'p' ? this.#roles.primary.index : this.#roles.backup.index;
  }

  #hostOf(target: Target): SimHost {
    return target === 'primary-host' ? this.#roles.primary : this.#roles.backup;
  }

  #after(delayMs: number, end: () => void): void {
    this.#sim.loop.after(delayMs, () => {
      end();
      this.over = true;
    });
  }
}
