/** Keeps a standby QEMU up, as coordinator/standby-keeper.ts. */
import type { Life } from './life.ts';
import type { SimQemu } from './qemu.ts';

const DEATHS_MAX = 3;
const START_MS = 4;

export class SimKeeper {
  readonly #life: Life;
  #wanted = false;
  #standby: SimQemu | undefined;
  #waiting: ((standby: SimQemu | undefined) => void)[] = [];
  #starting = false;
  #deaths = 0;

  constructor(life: Life) {
    this.#life = life;
  }

  get hopeful(): boolean {
    return this.#wanted && this.#deaths <= DEATHS_MAX;
  }

  /** Calls `done` with a standby; with none when there is no hope. */
  ready(done: (standby: SimQemu | undefined) => void, want = false): void {
    if (want) this.#wanted = true;
    if (this.#standby) return done(this.#standby);
    if (!this.hopeful) return done(undefined);
    this.#waiting.push(done);
    if (!this.#starting) this.#start();
  }

  /** The standby has become the guest. */
  release(): void {
    this.#standby = undefined;
    this.#wanted = false;
    this.#life.host.standby = undefined;
  }

  discard(standby: SimQemu): void {
    if (this.#standby === standby) this.#standby = undefined;
    this.#deaths++;
    this.#life.process.effect(() => standby.process.kill());
  }

  end(): void {
    this.#wanted = false;
    this.#deaths = 0;
    const standby = this.#standby;
    this.#standby = undefined;
    if (standby) this.#life.process.effect(() => standby.process.kill());
  }

  /** Ends the standby that a coordinator before this one left. */
  endOrphan(): void {
    const orphan = this.#life.host.standby;
    this.#life.host.standby = undefined;
    orphan?.process.kill();
  }

  #start(): void {
    this.#starting = true;
    const { process, host, sim } = this.#life;
    process.timer(START_MS, () => {
      this.#starting = false;
      const standby = this.#wanted ? sim.newQemu(host) : undefined;
      this.#standby = standby;
      if (standby) {
        host.standby = standby;
        standby.process.onDeath(() =>
          process.loop.after(0.05, () => process.read(() => this.#died(standby))),
        );
      }
      for (const done of this.#waiting.splice(0)) done(standby);
    });
  }

  #died(standby: SimQemu): void {
    if (this.#standby !== standby) return;
    this.#standby = undefined;
    this.#deaths++;
    this.#life.sim.reached('a standby was replaced');
    this.ready(() => {});
  }
}
