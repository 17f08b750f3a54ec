/** One life of a coordinator, as coordinator/coordinator.ts: the production's reducer, and its actions in their order. */
import { isDeepStrictEqual } from 'node:util';
import type { HostAction, HostEvent } from '../../coordinator/arbitration/host-events.ts';
import { createRequest, initialState } from '../../coordinator/arbitration/host-start.ts';
import { type HostState, unresolved } from '../../coordinator/arbitration/host-state.ts';
import type { Register, SwapRequest, SwapResult } from '../../coordinator/arbitration/register.ts';
import { SimBackup } from './backup.ts';
import { SimGate } from './gate.ts';
import type { SimHost } from './host.ts';
import { type Life, TIMES } from './life.ts';
import { SimPrimary } from './primary.ts';
import { LocalConnection, type SimProcess, type SimTimer } from './process.ts';
import type { SimQemu } from './qemu.ts';
import type { Simulation } from './simulation.ts';
import { VM } from './witness.ts';

export class SimCoordinator {
  readonly process: SimProcess;
  readonly primary: SimPrimary;
  readonly backup: SimBackup;
  /** Null until the register was read. */
  state: HostState | null = null;
  readonly #sim: Simulation;
  readonly #host: SimHost;
  readonly #gate: SimGate;
  readonly #events: HostEvent[] = [];
  #busy = true;
  #retryTimer: SimTimer | undefined;
  #asking = 0;

  constructor(sim: Simulation, host: SimHost, process: SimProcess) {
    this.#sim = sim;
    this.#host = host;
    this.process = process;
    this.#gate = new SimGate(process, host, {
      nextEpoch: () => (this.primary.protection?.takenEpoch ?? 0) + 1,
      pending: epoch => this.primary.protection?.outputPending(epoch),
    });
    const life: Life = {
      sim,
      host,
      process,
      gate: this.#gate,
      state: () => this.#now,
      dispatch: event => this.dispatch(event),
    };
    this.primary = new SimPrimary(life);
    this.backup = new SimBackup(life);
  }

  /** Finds its guest, reads the register and takes the place that it gives. */
  start(): void {
    const host = this.#host;
    const identity = host.identity;
    const qemu = identity?.guest && identity.guest === host.qemu ? host.qemu : undefined;
    const guest = qemu?.process.alive ? qemu : host.takeGuest();
    if (guest !== qemu || !guest) {
      host.identity = {
        incarnation: this.#sim.identity(),
        guest: guest ?? null,
        unresolvedPair: null,
      };
    }
    if (!this.#gate.connect()) return this.#exit();
    if (!guest) return this.#status(undefined);
    const monitor = new LocalConnection(this.process, guest.process, () => this.#exit());
    monitor.call(
      () => guest.endColo(),
      error => {
        if (error) return this.#exit();
        monitor.close();
        this.#status(guest);
      },
    );
  }

  dispatch(event: HostEvent): void {
    if (!this.process.alive) return;
    this.#events.push(event);
    this.#work();
  }

  get #now(): HostState {
    return this.state!;
  }

  #status(guest: SimQemu | undefined): void {
    this.#gate.openEpoch((error, open) => {
      if (error) return this.#exit();
      this.#ask(
        null,
        result => this.#begin(guest, open!, result.register),
        () => this.#exit(),
      );
    });
  }

  #begin(guest: SimQemu | undefined, open: number, register: Register | null): void {
    const { incarnation, unresolvedPair: pair } = this.#host.identity!;
    const me = { host: this.#host.name, incarnation };
    if (!register && guest) {
      return this.#ask(
        createRequest(VM, me),
        result => this.#begin(guest, open, result.register),
        () => this.#exit(),
      );
    }
    const lastEpoch = Math.max(0, open);
    const options = { vm: VM, me, register, guestRuns: guest !== undefined, lastEpoch };
    const step = initialState(
      pair && !this.#sim.mutation.forgetsPair ? { ...options, unresolvedPair: pair } : options,
      () => this.#sim.identity(),
    );
    this.state = step.state;
    this.#sim.reached(`started in ${step.state.name}`);
    if (this.#sim.tracing) this.#sim.note(this.#host.name, `starts in ${step.state.name}`);
    if (guest) {
      guest.owner = step.state.me;
      this.primary.attach(guest);
    }
    this.backup.listen();
    this.#performAll(step.actions, 0, () => {
      this.#busy = false;
      this.#doubtLater();
      this.#after();
      this.#work();
    });
  }

  /** It cannot work: its supervisor starts it again. */
  #exit(): void {
    if (this.process.alive) this.process.effect(() => this.process.kill());
  }

  #work(): void {
    while (!this.#busy && this.process.alive) {
      const event = this.#events.shift();
      if (!event) return;
      this.#busy = true;
      this.#take(event);
    }
  }

  #take(event: HostEvent): void {
    const before = this.#now;
    const drawn: string[] = [];
    const step = this.#sim.reduce(before, event, () => {
      drawn.push(this.#sim.identity());
      return drawn.at(-1)!;
    });
    if (this.#sim.tracing) this.#recheck(before, event, drawn, step);
    this.state = step.state;
    const host = this.#host;
    if (event.type === 'never-paired' && step.state !== before) this.#sim.reached('never paired');
    this.process.effect(() => this.#sim.moved(host, before, step.state));
    this.#performAll(step.actions, 0, () => {
      if (before.name !== this.#now.name) this.#changed(before);
      if (event.type === 'resumed' && !before.running) this.#sim.point('F8-announced', host);
      this.#after();
      this.#busy = false;
      this.#work();
    });
  }

  /** The same event in the same state gives the same step again. */
  #recheck(before: HostState, event: HostEvent, drawn: readonly string[], step: unknown): void {
    let index = 0;
    const again = this.#sim.reduce(before, event, () => drawn[index++]!);
    if (!isDeepStrictEqual(again, step)) throw new Error(`${event.type} gives another step again`);
    const { name } = (again as { state: HostState }).state;
    const text = before.name === name ? before.name : `${before.name} → ${name}`;
    this.#sim.note(this.#host.name, `${event.type}${detailOf(event)}: ${text}`);
  }

  #performAll(actions: readonly HostAction[], from: number, done: () => void): void {
    for (let at = from; at < actions.length; at++) {
      let finished = false;
      let waiting = false;
      this.#perform(actions[at]!, () => {
        finished = true;
        if (waiting) this.#performAll(actions, at + 1, done);
      });
      if (!finished) {
        waiting = true;
        return;
      }
    }
    done();
  }

  #perform(action: HostAction, done: () => void): void {
    switch (action.type) {
      case 'release':
        this.#gate.release(action.epoch);
        return done();
      case 'send-ack':
        this.backup.acknowledge(action.epoch);
        return done();
      case 'swap':
        this.#swap(action.request);
        return done();
      case 'read-register':
        this.#ask(
          null,
          ({ register }) => this.dispatch({ type: 'register-read', register }),
          () => this.#after(),
        );
        return done();
      case 'notify':
        this.#sim.reached(action.notice);
        return done();
      case 'hold':
        return this.#hold(action.epoch, done);
      case 'end-protection':
        return this.primary.endProtection(done);
      case 'open':
        return both(
          first => this.#gate.open(first),
          second => this.primary.endProtection(second),
          done,
        );
      case 'discard-output':
        return this.#gate.discard(done);
      case 'resume-guest':
        return this.#resume(action.from, done);
      case 'stop-guest':
        return this.#stopGuest(done);
      case 'drop-state':
        return this.#drop(action.incarnation, done);
    }
  }

  #after(): void {
    if (!this.state || !unresolved(this.state) || this.#retryTimer) return;
    const { resumeFailed } = this.state;
    if (resumeFailed && !this.backup.canResume) return;
    const waitMs = resumeFailed ? TIMES.resumeRetryMs : TIMES.retryMs;
    this.#retryTimer = this.process.timer(waitMs, () => {
      this.#retryTimer = undefined;
      const waits = this.#asking > 0 && ['PRES', 'SRES', 'FROZ'].includes(this.#now.name);
      if (unresolved(this.#now) && !waits) this.dispatch({ type: 'retry' });
    });
  }

  #changed(before: HostState): void {
    const { name } = this.#now;
    if (before.name === 'SRES') this.#remember(null);
    if (name === 'PROT') this.primary.activate();
    if (name === 'FROZ') this.backup.freeze();
    if (name === 'SOLO') this.primary.seek();
  }

  #swap(request: SwapRequest): void {
    const host = this.#host;
    const pair = request.transition === 'pair';
    if (pair) this.#remember({ request, snapshot: this.#now.snapshot });
    const takeover = request.transition === 'solo-by-backup';
    if (takeover) this.#sim.point('F1-suspected', host);
    this.#asking++;
    this.#ask(
      request,
      result => {
        this.#asking--;
        this.dispatch({ type: 'swap-answered', request, register: result.register });
      },
      () => {
        this.#asking--;
        this.#sim.reached(`no answer to ${request.transition}`);
        this.#after();
      },
    );
    if (takeover) this.#sim.point('F2-solo-sent', host);
    if (pair) this.#sim.point('R5-pair-sent', host);
  }

  #remember(pair: { request: SwapRequest; snapshot: number } | null): void {
    const { identity } = this.#host;
    this.process.effect(() => {
      if (identity) identity.unresolvedPair = pair;
    });
  }

  #ask(
    request: SwapRequest | null,
    answered: (result: SwapResult) => void,
    failed: () => void,
  ): void {
    this.#sim.witness.ask(this.process, this.#host.index, request, answered, failed);
  }

  #doubtLater(): void {
    this.process.timer(TIMES.doubtMs, () => {
      const { name, running } = this.#now;
      if (name === 'SOLO' && running) this.#gate.check();
      const stable = name === 'PROT' || name === 'BACK' || name === 'SOLO';
      if (stable && !this.#busy) this.dispatch({ type: 'doubt', reason: 'from time to time' });
      this.#doubtLater();
    });
  }

  #hold(epoch: number | null, done: () => void): void {
    this.#gate.hold(epoch, error => {
      let begun = !error;
      if (!error && this.#now.name === 'SYNC') {
        this.#sim.point('R2-held', this.#host);
        begun = this.primary.begin();
      }
      if (!begun && this.#now.name === 'SYNC') {
        this.#events.push({ type: 'give-up', reason: 'output cannot be held' });
      }
      done();
    });
  }

  #resume(epoch: number, done: () => void): void {
    this.#sim.point('F4-granted', this.#host);
    let resumed: SimQemu | undefined;
    both(
      first => this.#gate.discard(() => this.#gate.open(first)),
      second =>
        this.backup.resume(epoch, qemu => {
          resumed = qemu;
          second();
        }),
      () => {
        if (resumed) this.primary.attach(resumed);
        const lost: HostEvent = { type: 'guest-lost', reason: 'it was not resumed' };
        this.#events.push(resumed ? { type: 'resumed' } : lost);
        done();
      },
    );
  }

  #stopGuest(done: () => void): void {
    this.primary.leave();
    this.primary.quit(() => {
      this.primary.detach();
      this.#events.push({ type: 'guest-stopped' });
      done();
    });
  }

  #drop(incarnation: string, done: () => void): void {
    const host = this.#host;
    this.process.effect(() => {
      host.identity = { incarnation, guest: null, unresolvedPair: null };
    });
    this.backup.drop();
    this.#gate.discard(() => this.#gate.hold(null, done));
  }
}

function both(
  first: (done: () => void) => void,
  second: (done: () => void) => void,
  done: () => void,
): void {
  let left = 2;
  const one = () => {
    if (--left === 0) done();
  };
  first(one);
  second(one);
}

function detailOf(event: HostEvent): string {
  if ('reason' in event) return ` (${event.reason})`;
  if ('epoch' in event) return ` ${event.epoch}`;
  const known = 'register' in event ? event.register : null;
  return known ? ` ${known.generation} ${known.mode} ${known.primary.host}` : '';
}
