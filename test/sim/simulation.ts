/**
 * The production's cores in one virtual world: two or three hosts, a witness and the network between them, driven by one
 * seed. Faults come from a scenario (scenario.ts); every step is judged by `outside`.
 */
import { type Reducer, reduce } from '../../coordinator/arbitration/host.ts';
import type { HostState } from '../../coordinator/arbitration/host-state.ts';
import { applyTransition, type Register } from '../../coordinator/arbitration/register.ts';
import type { Channel } from '../../coordinator/replication/channel.ts';
import { vmIdOf } from '../../coordinator/replication/encode.ts';
import type { Mutation } from '../arbitration/sim/mutation.ts';
import { Random } from '../arbitration/sim/random.ts';
import type { PointName } from '../faults/points.ts';
import { Ledger } from './guest.ts';
import { SimHost } from './host.ts';
import { TIMES } from './life.ts';
import { Loop } from './loop.ts';
import { type End, Network, type NetworkOptions } from './network.ts';
import { Outside, type SimFrame } from './outside.ts';
import { SimProcess } from './process.ts';
import { SimQemu } from './qemu.ts';
import { SimWitness, VM } from './witness.ts';

const VM_ID = vmIdOf(VM);

export interface SimulationOptions {
  seed: number;
  hosts?: number;
  network?: Partial<NetworkOptions>;
  mutation?: Mutation;
  /** Whether every step is written down, and every step of a reducer checked by a second one. */
  trace?: boolean;
  /** Whether the rules are judged, or only what the outside can see. */
  rules?: boolean;
}

/** Who hears that a point is passed, and may strike there. */
export type PointListener = (point: PointName, host: SimHost) => void;

export class Simulation {
  readonly loop = new Loop();
  readonly random: Random;
  readonly network: Network;
  readonly ledger = new Ledger();
  readonly outside: Outside;
  readonly hosts: SimHost[] = [];
  readonly witness: SimWitness;
  readonly mutation: Mutation;
  readonly mutated: boolean;
  readonly tracing: boolean;
  readonly trace: string[] = [];
  readonly counts = new Map<string, number>();
  readonly reduce: Reducer;
  readonly vmId = VM_ID;
  onPoint: PointListener = () => {};
  /** The newest time at which a frame left each host, and the frames that left it. */
  readonly spokeAt: number[] = [];
  #identities = 0;
  #grants = 0;

  constructor(options: SimulationOptions) {
    const { seed, hosts = 2, mutation = {} } = options;
    this.random = new Random(seed);
    this.mutation = mutation;
    this.mutated = options.mutation !== undefined;
    this.tracing = options.trace ?? false;
    this.reduce = mutation.reduce?.(reduce) ?? reduce;
    this.outside = new Outside(this.ledger, options.rules ?? true);
    this.network = new Network(this.loop, this.random, hosts + 1, {
      delayMs: 0.2,
      jitterMs: 0.3,
      lossRate: 0,
      duplicateRate: 0,
      ...options.network,
    });
    for (let index = 0; index < hosts; index++) {
      this.hosts.push(new SimHost(this, index));
      this.spokeAt.push(-1);
    }
    const apply = mutation.apply?.(applyTransition) ?? applyTransition;
    this.witness = new SimWitness(hosts, this.#witnessProcess(), this.network, apply, {
      changed: (register, request) => {
        this.#registered(register);
        const asker = this.hosts.find(host => host.name === request.by.host)!;
        if (request.transition === 'solo-by-backup') this.point('F3-solo-applied', asker);
        if (request.transition === 'pair') this.point('R6-pair-applied', asker);
      },
      refused: request => this.reached(`refused ${request.transition}`),
    });
  }

  /** Switches everything on; the machine runs at the first host. */
  begin(): void {
    for (const host of this.hosts) {
      host.startProxy();
      if (host.index === 0) host.switchOn();
      host.startCoordinator();
    }
  }

  /** Runs until `enough` says so, or the time is `untilMs`. @returns Whether it was enough. */
  run(untilMs: number, enough: () => boolean): boolean {
    while (!enough()) {
      if (this.loop.now >= untilMs || !this.loop.step()) return false;
    }
    return true;
  }

  /** A point of the protocol is passed at `host`. */
  point(point: PointName, host: SimHost): void {
    if (this.tracing) this.note(host.name, point);
    this.onPoint(point, host);
  }

  passedProxy(point: 'releasing' | 'released', host: SimHost): void {
    const state = host.coordinator?.state;
    if (state?.name !== 'PROT') return;
    // Generation 2 is the first pair.
    if (point === 'released' && state.generation > 2) this.reached('held output left again');
    this.point(point === 'releasing' ? 'E14-releasing' : 'E15-released', host);
  }

  reached(what: string): void {
    this.reachedBy(what, 1);
  }

  reachedBy(what: string, times: number): void {
    if (times > 0) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  note(who: string, what: string): void {
    if (this.tracing) this.trace.push(`${this.loop.now.toFixed(3).padStart(9)} ${who} ${what}`);
  }

  /** An incarnation that was never drawn before. */
  identity(): string {
    return (++this.#identities).toString(16).padStart(32, '0');
  }

  moved(host: SimHost, before: HostState, after: HostState): void {
    if (before.name !== after.name) this.reached(`${before.name} → ${after.name}`);
    if (before === after) return;
    const states = this.hosts.map(({ coordinator }) =>
      coordinator?.process.alive ? coordinator.state : null,
    );
    states[host.index] = after;
    this.outside.moved(before, after, states);
  }

  /** A frame has left `host`. */
  left(host: SimHost, frame: SimFrame): void {
    if (this.tracing) this.note(host.name, `said ${frame.steps} (version ${frame.version})`);
    this.outside.saw(frame);
    this.spokeAt[host.index] = this.loop.now;
    const state = host.coordinator?.state;
    if (state?.name === 'HALT' || state?.name === 'PRES') {
      this.reached(`a committed frame left late, in ${state.name}`);
    }
  }

  newQemu(host: SimHost): SimQemu {
    const process = new SimProcess(this.loop, `${host.name} qemu`);
    const qemu: SimQemu = new SimQemu(process, this.ledger, this.random, {
      emit: frame => host.speak(frame),
      resumes: (guest, fault) => {
        this.outside.resumes(guest.moment, fault);
        this.reached('resumed from a checkpoint');
        if (this.mutation.reEmitsLast) host.speak({ ...this.outside.newest, from: qemu });
      },
      running: () => this.point('F7-running', host),
    });
    return qemu;
  }

  connect(end: End, to: number): void {
    const host = this.hosts[to]!;
    end.connect(to, () => {
      const alive = host.coordinator?.process.alive;
      return alive ? host.listener : undefined;
    });
  }

  /** Beats as replication/transport.ts drives them. */
  beat(process: SimProcess, channel: Channel, ready: () => boolean): void {
    process.timer(TIMES.beatMs, () => {
      if (!channel.open) return;
      if (ready()) channel.beat(this.loop.now);
      this.beat(process, channel, ready);
    });
  }

  startWitness(): void {
    if (!this.witness.process.alive) this.witness.process = this.#witnessProcess();
  }

  #witnessProcess(): SimProcess {
    return new SimProcess(this.loop, 'witness');
  }

  #registered(register: Register): void {
    const { generation, mode, primary, backup } = register;
    if (this.tracing) this.note('W', `${generation} ${mode} ${primary.host} ${backup?.host ?? ''}`);
    const before = this.outside.world.registers.at(-1);
    this.outside.registered(register);
    if (before?.backup?.incarnation === primary.incarnation) {
      this.reached('the backup won');
      if (++this.#grants === 2) this.reached('double failover');
    } else if (before?.backup) this.reached('the primary won');
  }
}
