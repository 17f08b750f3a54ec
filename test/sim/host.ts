/** One host: its processes, the tap of its guest, and what its run directory remembers until it dies. */
import { SimCoordinator } from './coordinator.ts';
import type { Identity } from './life.ts';
import type { End } from './network.ts';
import type { SimFrame } from './outside.ts';
import { SimProcess } from './process.ts';
import { SimProxy, type Tap } from './proxy.ts';
import type { SimQemu } from './qemu.ts';
import type { Simulation } from './simulation.ts';

/** What a supervisor waits before it starts a process that ended by itself. */
const SUPERVISE_MS = 200;

export type HostPart = 'coordinator' | 'qemu' | 'standby' | 'proxy';

export class SimHost {
  readonly index: number;
  readonly name: string;
  readonly tap: Tap = { closed: true };
  proxy: SimProxy | undefined;
  coordinator: SimCoordinator | undefined;
  /** The guest that runs here, or ran. */
  qemu: SimQemu | undefined;
  standby: SimQemu | undefined;
  /** The standby that is being made the guest, or was. */
  loading: SimQemu | undefined;
  identity: Identity | undefined;
  listener: ((client: End) => End) | undefined;
  /** A machine that was switched on here and belongs to nobody yet. */
  #fresh: SimQemu | undefined;
  /** Not started again by its supervisor until then. */
  #heldDown = new Set<HostPart>();
  readonly #sim: Simulation;

  constructor(sim: Simulation, index: number) {
    this.#sim = sim;
    this.index = index;
    this.name = 'ABC'[index]!;
  }

  get up(): boolean {
    return this.#sim.network.up[this.index]!;
  }

  /** Starts everything but guests. */
  boot(): void {
    this.#sim.network.up[this.index] = true;
    this.startProxy();
    this.startCoordinator();
  }

  /** Switches the machine on. */
  switchOn(): void {
    const qemu = this.#sim.newQemu(this);
    this.qemu = qemu;
    this.#fresh = qemu;
    qemu.boot();
  }

  /** The guest that a coordinator is told of when it first starts. */
  takeGuest(): SimQemu | undefined {
    const fresh = this.#fresh;
    this.#fresh = undefined;
    return fresh?.process.alive ? fresh : undefined;
  }

  startProxy(): void {
    if (!this.up || this.proxy?.process.alive || this.#heldDown.has('proxy')) return;
    const process = new SimProcess(this.#sim.loop, `${this.name} proxy`);
    this.proxy = new SimProxy(process, this.tap, {
      emit: frame => this.#sim.left(this, frame),
      passed: point => this.#sim.passedProxy(point, this),
      lost: (what, frames) => this.#sim.reachedBy(`${what} frames were lost`, frames),
      full: () => this.#sim.reached('a proxy was full'),
    });
    process.onDeath(() => this.#sim.loop.after(SUPERVISE_MS, () => this.startProxy()));
  }

  startCoordinator(): void {
    if (!this.up || this.coordinator?.process.alive || this.#heldDown.has('coordinator')) return;
    const process = new SimProcess(this.#sim.loop, `${this.name} coordinator`);
    this.listener = undefined;
    this.coordinator = new SimCoordinator(this.#sim, this, process);
    process.onDeath(() => {
      this.listener = undefined;
      this.#sim.loop.after(SUPERVISE_MS, () => this.startCoordinator());
    });
    this.coordinator.start();
  }

  /** The guest sends a frame. */
  speak(frame: SimFrame): void {
    if (!this.tap.closed) this.#sim.left(this, frame);
    else if (this.proxy?.process.alive) this.proxy.captured(frame);
    else this.#sim.reachedBy('frames were lost without a proxy', 1);
  }

  processOf(part: HostPart): SimProcess | undefined {
    if (part === 'standby') return (this.standby ?? this.loading)?.process;
    return this[part]?.process;
  }

  /** Kills one process; it stays down until `allow`. */
  kill(part: HostPart, down: boolean): void {
    if (down) this.#heldDown.add(part);
    this.processOf(part)?.kill();
  }

  allow(part: HostPart): void {
    if (!this.#heldDown.delete(part)) return;
    if (part === 'proxy') this.startProxy();
    if (part === 'coordinator') this.startCoordinator();
  }

  allowAll(): void {
    for (const part of [...this.#heldDown]) this.allow(part);
  }

  /** Pulls the plug. */
  crash(): void {
    this.#sim.network.up[this.index] = false;
    for (const process of this.#processes()) process.kill();
    this.qemu = undefined;
    this.standby = undefined;
    this.loading = undefined;
    this.identity = undefined;
    this.#fresh = undefined;
    this.#heldDown.clear();
  }

  pauseAll(): void {
    for (const process of this.#processes()) process.pause();
  }

  resumeAll(): void {
    for (const process of this.#processes()) process.resume();
  }

  #processes(): SimProcess[] {
    const parts: HostPart[] = ['proxy', 'qemu', 'standby', 'coordinator'];
    return parts.flatMap(part => this.processOf(part) ?? []);
  }
}
