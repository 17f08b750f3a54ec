/**
 * Two or three hosts, one witness and a network that loses, delays, repeats and reorders, driven by
 * one seed. Any step may wait for ever, as a stopped process does; hosts crash and come back empty,
 * coordinators restart beside a running guest, suspicions come at any moment. Every step is checked
 * by the World.
 */
import {
  type IncarnationSource,
  type Reducer,
  reduce,
} from '../../../coordinator/arbitration/host.ts';
import type { HostAction, HostEvent } from '../../../coordinator/arbitration/host-events.ts';
import { createRequest, initialState } from '../../../coordinator/arbitration/host-start.ts';
import {
  acceptsCheckpoint,
  BACKUP_LOSS_POLICIES,
  type HostState,
  unresolved,
} from '../../../coordinator/arbitration/host-state.ts';
import {
  applyTransition,
  type Owner,
  type Register,
  sameOwner,
} from '../../../coordinator/arbitration/register.ts';
import { type Copy, type Message, SimHost } from './host.ts';
import type { Mutation } from './mutation.ts';
import { OPERATIONS, type Operation, RARE } from './operations.ts';
import { Random } from './random.ts';
import { rowsOf, rowText } from './transitions.ts';
import { Violation, World } from './world.ts';

export interface SimulationOptions {
  seed: number;
  steps?: number;
  /**
   * Whether full copies and checkpoints name the incarnation that they are for, as the wire does.
   */
  addressed?: boolean;
  mutation?: Mutation;
  /** How often a delivered message is delivered once more, later. Default 0.1. */
  repeatRate?: number;
  /**
   * `outside`: judge only by what the world outside can see, not by the rules that should prevent
   * it.
   */
  judge?: 'rules' | 'outside';
  trace?: boolean;
}

const VM = 'vm';
const STORE = 'f'.repeat(32);
const EPOCHS_MAX = 24;
const MESSAGES_MAX = 12;
/** Epochs that a held guest may run ahead of its output. */
const AHEAD_MAX = 3;

export class Simulation {
  readonly world: World;
  readonly hosts: SimHost[] = [];
  readonly trace: string[] = [];
  /** How often each interesting thing happened. */
  readonly reached = new Map<string, number>();
  readonly #random: Random;
  readonly #options: Required<SimulationOptions>;
  readonly #reduce: Reducer;
  readonly #apply: typeof applyTransition;
  readonly #messages: Message[] = [];
  readonly #asked = new Set<string>();
  readonly #lossRate: number;
  readonly #rareRate: number;
  readonly #suspicionRate: number;
  #register: Register | null = null;
  #identities = 0;
  #versions = 0;
  #failovers = 0;

  constructor(options: SimulationOptions) {
    this.#options = {
      steps: 400,
      addressed: true,
      mutation: {},
      repeatRate: 0.1,
      judge: 'rules',
      trace: false,
      ...options,
    };
    this.world = new World(this.#options.judge === 'rules');
    this.#random = new Random(options.seed);
    const { mutation } = this.#options;
    this.#reduce = mutation.reduce?.(reduce) ?? reduce;
    this.#apply = mutation.apply?.(applyTransition) ?? applyTransition;
    this.#lossRate = this.#random.pick([0, 0.05, 0.3]);
    this.#rareRate = this.#random.pick([0.01, 0.05, 0.15]);
    this.#suspicionRate = this.#random.pick([0.05, 0.2, 0.6]);
    const count = 2 + this.#random.below(2);
    for (let index = 0; index < count; index++) {
      const policy = this.#random.pick(BACKUP_LOSS_POLICIES);
      this.hosts.push(new SimHost(index, policy));
    }
  }

  /** @throws Violation as soon as an invariant is broken. */
  run(): void {
    for (const host of this.hosts) this.#start(host, host.index === 0);
    for (let step = 0; step < this.#options.steps; step++) {
      if (this.#messages.length > 0 && this.#random.chance(0.5)) this.#network();
      else this.#operate(this.#random.pick(this.hosts));
    }
  }

  /**
   * Lets everything that is under way come to its end, without further faults.
   * @throws Violation when a host stays in a state that the witness's answer should have ended.
   */
  settle(): void {
    for (let round = 0; round < 6; round++) {
      for (const host of this.hosts) this.#settleHost(host);
      for (let left = 200; this.#messages.length > 0 && left > 0; left--)
        this.#deliver(this.#messages.shift() as Message);
    }
    for (const { state } of this.hosts)
      if (state && unresolved(state) && !this.#keepsForNobody(state))
        throw new Violation('L1', `${state.me.host} stays ${state.name}`);
  }

  /** Who asked more than once for a copy whose primary died before it was registered keeps it: nobody will say more. */
  #keepsForNobody(state: HostState): boolean {
    const unregistered = (this.#register?.generation ?? 0) < state.generation;
    return state.repeated && unregistered && !this.#lifeOf(state.peer);
  }

  #settleHost(host: SimHost): void {
    while (host.state && host.restarting) this.#whileRestarting(host, host.state);
    if (!host.state) return;
    if (host.state.name === 'HALT') this.#feed(host, { type: 'guest-stopped' });
    else if (host.state.name === 'SYNC') this.#feed(host, { type: 'give-up', reason: 'the end' });
    else if (host.resuming) {
      host.resuming = false;
      this.#feed(host, { type: 'resumed' });
    } else if (unresolved(host.state)) {
      this.#hearHello(host, host.state);
      if (unresolved(host.state)) this.#feed(host, { type: 'retry' });
    }
  }

  /** The primary of this copy asks to be admitted, if it runs alone. */
  #hearHello(host: SimHost, state: HostState): void {
    const primary = this.#lifeOf(state.peer);
    if (state.name !== 'FROZ' || primary?.name !== 'SOLO') return;
    const { generation, lastEpoch: epoch, me } = primary;
    this.#feed(host, { type: 'never-paired', generation, epoch, from: me });
  }

  #lifeOf(owner: Owner | null): HostState | undefined {
    const states = this.hosts.flatMap(host => host.state ?? []);
    return states.find(state => sameOwner(state.me, owner));
  }

  #start(host: SimHost, owner: boolean): void {
    host.clear();
    const life = host.formerLife;
    const me = { host: host.name, incarnation: life ?? this.#newIncarnation() };
    if (owner) {
      this.#register = this.#apply(null, createRequest(VM, me), STORE).register as Register;
      this.world.changed(this.#register, 0);
      host.guestRuns = true;
    }
    const { onBackupLoss } = host;
    const options = { vm: VM, me, register: this.#register, guestRuns: owner, onBackupLoss };
    this.#begin(host, options, life ? () => life : this.#newIncarnation);
  }

  #begin(
    host: SimHost,
    options: Parameters<typeof initialState>[0],
    newLife = this.#newIncarnation,
  ): void {
    const step = initialState(options, newLife);
    this.#count(rowText({ from: 'START', event: 'start', to: step.state.name }));
    this.#enter(host, step.state);
    for (const action of step.actions) this.#act(host, action);
  }

  #newIncarnation: IncarnationSource = () => (++this.#identities).toString(16).padStart(32, '0');

  #operate(host: SimHost): void {
    if (host.state === null) {
      if (this.#random.chance(0.3)) this.#start(host, false);
      return;
    }
    if (host.restarting) return this.#whileRestarting(host, host.state);
    const operation = this.#random.pick(OPERATIONS[host.state.name]);
    if (RARE.includes(operation) && !this.#random.chance(this.#rareRate)) return;
    // The end of a guest that runs alone ends the run's story, so it is made rarer.
    const alone = host.state.name === 'SOLO' || host.state.name === 'SYNC';
    const fatal = operation === 'crash' || operation === 'guest-lost';
    if (alone && fatal && !this.#random.chance(0.1)) return;
    this.#perform(host, host.state, operation);
  }

  #perform(host: SimHost, state: HostState, operation: Operation): void {
    switch (operation) {
      case 'run':
        return this.#runGuest(host);
      case 'emit':
        return this.#emit(host, state);
      case 'checkpoint':
        return this.#sendCheckpoint(host, state);
      case 'full':
        return this.#sendFull(host, state);
      case 'commit':
        return this.#commit(host, state);
      case 'suspect': {
        if (!this.#random.chance(this.#suspicionRate)) return;
        return this.#feed(host, { type: 'suspect-peer', reason: 'chance' });
      }
      case 'give-up': {
        if (!this.#random.chance(this.#suspicionRate)) return;
        return this.#feed(host, { type: 'give-up', reason: 'chance' });
      }
      case 'open':
        if (!this.#random.chance(this.#rareRate)) return;
        return this.#feed(host, { type: 'open-requested' });
      case 'protect':
        return this.#protect(host, state);
      case 'retry':
        if (unresolved(state)) this.#feed(host, { type: 'retry' });
        return;
      case 'hello':
        return this.#hearHello(host, state);
      case 'doubt':
        return this.#feed(host, { type: 'doubt', reason: 'chance' });
      case 'resume': {
        if (!host.resuming) return;
        host.resuming = false;
        const works = this.#random.chance(0.9);
        return this.#feed(host, works ? { type: 'resumed' } : lost('resume failed'));
      }
      case 'stopped':
        return this.#feed(host, { type: 'guest-stopped' });
      case 'guest-lost': {
        if (!host.guestRuns || !state.running) return;
        host.guestRuns = false;
        return this.#feed(host, lost('chance'));
      }
      case 'crash':
        return this.#crash(host);
      case 'restart': {
        this.#note(() => `${host.name} coordinator restarts in ${state.name}`);
        host.restarting = { register: this.#register };
        host.staged = null;
        return;
      }
    }
  }

  #runGuest(host: SimHost): void {
    if (!host.guestRuns || host.epoch >= EPOCHS_MAX) return;
    if (host.epoch <= host.emitted + AHEAD_MAX) host.execute(++this.#versions);
  }

  #emit(host: SimHost, state: HostState): void {
    if (host.emitted >= host.epoch) return;
    const next = host.emitted + 1;
    const early = this.#options.mutation.emitsUnacked && state.name === 'PROT';
    if (!host.open && next > host.limit && !early) return;
    host.emitted = next;
    this.#note(() => `${host.name} ${state.name} emits ${next} (version ${host.versions[next]})`);
    this.world.emit(state, next, host.versions);
  }

  #protect(host: SimHost, state: HostState): void {
    if (!state.running || host.epoch >= EPOCHS_MAX - 1) return;
    host.execute(++this.#versions);
    this.#feed(host, { type: 'protect-requested', snapshot: host.epoch });
  }

  #sendFull(host: SimHost, state: HostState): void {
    const peer = this.#random.pick(this.hosts);
    if (peer === host || !peer.state) return;
    this.#sendCopy(host, peer.index, {
      full: true,
      generation: state.generation + 1,
      epoch: state.snapshot,
      from: state.me,
      to: peer.state.me.incarnation,
      versions: host.versions.slice(0, state.snapshot + 1),
    });
  }

  #sendCheckpoint(host: SimHost, state: HostState): void {
    const peer = this.hosts.find(other => other.name === state.peer?.host);
    const epoch = Math.max(state.acked, 0) + 1 + this.#random.below(AHEAD_MAX);
    if (!peer || !state.peer || epoch > host.epoch) return;
    this.#sendCopy(host, peer.index, {
      full: false,
      generation: state.name === 'SRES' ? state.generation + 1 : state.generation,
      epoch,
      from: state.me,
      to: state.peer.incarnation,
      versions: host.versions.slice(0, epoch + 1),
    });
  }

  #sendCopy(host: SimHost, to: number, copy: Copy): void {
    const what = copy.full ? 'FULL' : 'CKPT';
    this.#note(() => `${host.name} sends ${what}(g${copy.generation}, ${copy.epoch}) to ${to}`);
    this.#send({ kind: 'copy', to, copy });
  }

  #commit(host: SimHost, state: HostState): void {
    const copy = host.staged;
    if (!copy) return;
    host.staged = null;
    host.stored = { epoch: copy.epoch, versions: copy.versions };
    this.world.commit(state.me.incarnation, copy.generation, copy.epoch);
    const { generation, epoch, from, to } = copy;
    if (copy.full) this.#feed(host, { type: 'full-received', generation, epoch, from, to });
    else this.#feed(host, { type: 'checkpoint-committed', generation, epoch });
  }

  #crash(host: SimHost): void {
    this.#note(() => `${host.name} crashes in ${host.state?.name}`);
    this.#count('crash');
    if (this.#options.mutation.keepsLife) host.formerLife = host.state?.me.incarnation ?? null;
    host.clear();
    host.state = null;
  }

  /**
   * Its coordinator is down: guest and proxy go on as they were, nothing is heard, until it starts
   * in the same life.
   */
  #whileRestarting(host: SimHost, state: HostState): void {
    if (!state.running && this.#random.chance(0.05)) return this.#crash(host);
    const choice = this.#random.below(3);
    if (choice === 0) return this.#runGuest(host);
    if (choice === 1) return this.#emit(host, state);
    const register = host.restarting?.register ?? null;
    host.restarting = null;
    host.resuming = false;
    this.#count(`restarted in ${state.name}`);
    const guestRuns = host.guestRuns && state.running;
    if (!guestRuns) host.guestRuns = false;
    this.#begin(host, {
      vm: VM,
      me: state.me,
      register,
      guestRuns,
      lastEpoch: host.epoch,
      onBackupLoss: host.onBackupLoss,
      ...(host.stored && !guestRuns ? { committed: host.stored.epoch } : {}),
      ...(host.pairJournal && !this.#options.mutation.forgetsPair
        ? { unresolvedPair: host.pairJournal }
        : {}),
    });
  }

  #network(): void {
    const at = this.#random.below(this.#messages.length);
    const message = this.#messages[at] as Message;
    const repeated = this.#random.chance(this.#options.repeatRate);
    if (!repeated) this.#messages.splice(at, 1);
    if (this.#random.chance(this.#lossRate)) return;
    this.#deliver(message);
  }

  #send(message: Message): void {
    if (this.#messages.length >= MESSAGES_MAX)
      this.#messages.splice(this.#random.below(MESSAGES_MAX), 1);
    this.#messages.push(message);
  }

  #deliver(message: Message): void {
    if (message.kind === 'swap' || message.kind === 'read') return this.#witness(message);
    const host = this.hosts[message.to] as SimHost;
    const state = host.state;
    if (!state || host.restarting) return;
    switch (message.kind) {
      case 'copy':
        return this.#receiveCopy(host, state, message.copy);
      case 'ack': {
        const { generation, epoch, from } = message;
        if (state.name === 'SYNC')
          return this.#feed(host, { type: 'full-acked', generation, epoch, from });
        return this.#feed(host, { type: 'ack', generation, epoch, incarnation: from.incarnation });
      }
      case 'answer': {
        // A witness answers a process; the connection of a former life is closed.
        if (message.incarnation !== state.me.incarnation) return;
        const { request, register } = message;
        if (request) return this.#feed(host, { type: 'swap-answered', request, register });
        return this.#feed(host, { type: 'register-read', register });
      }
    }
  }

  #receiveCopy(host: SimHost, state: HostState, sent: Copy): void {
    const to = this.#options.addressed ? sent.to : state.me.incarnation;
    const copy = { ...sent, to };
    const { generation, epoch, from, full } = copy;
    const again = host.stored !== null && epoch <= host.stored.epoch;
    if (full && state.name === 'BACK')
      return this.#feed(host, { type: 'full-received', generation, epoch, from, to });
    if (!full && again && acceptsCheckpoint({ ...state, committed: epoch - 1 }, copy))
      return this.#feed(host, { type: 'checkpoint-committed', generation, epoch });
    const wanted = full
      ? state.name === 'JOIN' && to === state.me.incarnation
      : acceptsCheckpoint(state, copy);
    if (!wanted || host.staged) return;
    host.staged = copy;
    if (this.#options.mutation.ackOnArrival && !full)
      this.#act(host, { type: 'send-ack', generation, epoch, to: from });
  }

  #witness(message: Extract<Message, { kind: 'swap' | 'read' }>): void {
    const request = message.kind === 'swap' ? message.request : null;
    if (request) {
      const result = this.#apply(this.#register, request, STORE);
      if (result.swapped && result.register) this.#swapped(result.register, request.transition);
      else this.#count(`refused ${request.transition}`);
    }
    const { from, incarnation } = message;
    this.#send({ kind: 'answer', to: from, incarnation, request, register: this.#register });
  }

  #swapped(register: Register, transition: string): void {
    const generation = register.generation - 1;
    this.#register = register;
    this.#note(() => `witness: ${transition} → g${register.generation} ${register.primary.host}`);
    this.#count(transition);
    const rival = transition === 'solo-by-primary' ? 'solo-by-backup' : 'solo-by-primary';
    if (register.mode === 'SOLO' && this.#asked.has(`${rival} ${generation}`))
      this.#count(`race won: ${transition}`);
    if (transition === 'solo-by-backup' && ++this.#failovers === 2) this.#count('double failover');
    const primary = this.hosts.find(host => host.name === register.primary.host);
    const alive = primary?.state?.me.incarnation === register.primary.incarnation;
    this.world.changed(register, alive ? (primary?.emitted ?? 0) : 0);
  }

  #feed(host: SimHost, event: HostEvent): void {
    const before = host.state as HostState;
    const step = this.#reduce(before, event, this.#newIncarnation);
    this.#note(() => `${host.name} ${before.name} + ${event.type} → ${step.state.name}`);
    if (step.state !== before) {
      for (const row of rowsOf(before, event, step.state)) this.#count(rowText(row));
      this.#countHeld(before, step.state);
      this.world.moved(before, step.state);
      this.#enter(host, step.state);
    }
    for (const action of step.actions) this.#act(host, action);
  }

  #countHeld(before: HostState, { name, held }: HostState): void {
    if (held) this.#count(`held ${name}`);
    else if (before.held) this.#count(`held ${before.name} → ${name}`);
  }

  #enter(host: SimHost, state: HostState): void {
    host.state = state;
    this.#count(state.name);
    this.world.oneFreeEmitter(this.hosts.map(other => other.state));
  }

  #act(host: SimHost, action: HostAction): void {
    const state = host.state as HostState;
    switch (action.type) {
      case 'hold':
        // What is held already stays held.
        if (host.open) host.limit = (action.epoch ?? host.emitted + 1) - 1;
        host.open = false;
        return;
      case 'release':
        host.limit = Math.max(host.limit, action.epoch);
        return;
      case 'open':
        host.open = true;
        return;
      case 'discard-output':
        host.open = false;
        host.limit = 0;
        return;
      case 'send-ack': {
        const peer = this.hosts.find(other => other.name === action.to.host) as SimHost;
        const { generation, epoch } = action;
        this.world.acked(state.me, generation, epoch);
        return this.#send({ kind: 'ack', to: peer.index, generation, epoch, from: state.me });
      }
      case 'swap': {
        const { request } = action;
        if (request.transition === 'pair') host.pairJournal = { request, snapshot: state.snapshot };
        this.#asked.add(`${request.transition} ${request.generation}`);
        const { incarnation } = state.me;
        return this.#send({ kind: 'swap', from: host.index, incarnation, request });
      }
      case 'read-register':
        return this.#send({
          kind: 'read',
          from: host.index,
          incarnation: state.me.incarnation,
        });
      case 'resume-guest':
        return this.#resume(host, action.from);
      case 'stop-guest':
        host.guestRuns = false;
        return;
      case 'drop-state':
        return host.clear();
      case 'end-protection':
      case 'notify':
        return;
    }
  }

  #resume(host: SimHost, from: number): void {
    const stored = host.stored;
    if (stored?.epoch !== from)
      throw new Violation('I5', `resumes from ${from}, the newest is ${stored?.epoch}`);
    this.world.resumes(from, stored.versions);
    if (from >= 1) this.#count('resumed from a checkpoint');
    host.staged = null;
    host.epoch = from;
    host.versions = [...stored.versions];
    host.emitted = this.#options.mutation.reEmitsLast ? Math.max(0, from - 1) : from;
    host.open = false;
    host.limit = from;
    host.guestRuns = true;
    host.resuming = true;
  }

  #count(what: string): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + 1);
  }

  #note(text: () => string): void {
    if (this.#options.trace) this.trace.push(text());
  }
}

function lost(reason: string): HostEvent {
  return { type: 'guest-lost', reason };
}
