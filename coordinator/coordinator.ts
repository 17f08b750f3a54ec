/**
 * One virtual machine on one host: feeds the arbitration with what happens, and does what it says. The arbitration is
 * pure (arbitration/host.ts); the roles (primary.ts, backup.ts) are shells around sockets and processes; here is the
 * order between them.
 *
 * Events are taken one at a time. An action that touches the guest or opens and closes the proxy is finished before the
 * next event is taken; those that only send something are not waited for.
 */
import { EventEmitter } from 'node:events';
import fastq from 'fastq';
import { asCurlingError, CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { QmpClient } from '../common/qmp/client.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import type { IncarnationSource, Reducer } from './arbitration/host.ts';
import type { HostAction, HostEvent, HostNotice } from './arbitration/host-events.ts';
import { createRequest, initialState } from './arbitration/host-start.ts';
import { type HostState, unresolved } from './arbitration/host-state.ts';
import { newIdentity } from './arbitration/incarnation.ts';
import { ownerText } from './arbitration/register.ts';
import { Backup } from './backup.ts';
import type { CoordinatorModules } from './coordinator-modules.ts';
import { Decisions } from './decisions.ts';
import { Explanation, type Trouble } from './explanation.ts';
import { FailoverLog } from './failover-log.ts';
import type { Gateway } from './gateway-probe.ts';
import { findGuest, quitGuest } from './guest.ts';
import { EVENT_OF, LOUD } from './notices.ts';
import { OutputGate } from './output-gate.ts';
import { Primary } from './primary.ts';
import { endColo } from './qemu/colo-migration.ts';
import { sabotagedReducer } from './sabotage-reducer.ts';
import type { FailoverRecord } from './status.ts';
import { ASKED_FOR } from './suspicion.ts';
import { Telemetry } from './telemetry.ts';
import { type Unprotected, unprotectedIn } from './unprotected.ts';

/** Between two attempts to learn the outcome of an unresolved request. */
const RETRY_MS = 100;
/** Between two attempts to resume the guest. */
const RESUME_RETRY_MS = 1_000;
const RESUME_HOPELESS =
  'the checkpoint cannot be resumed on this host, which owns the machine; see the log and the standby QEMU';
/** How often the register is read although nothing asks for it. */
const DOUBT_MS = 2_000;

/** Takes an event that management tools are told. */
export type EventListener = (name: string, data: JsonObject) => void;

/** The events that management tools are told, by name, with their data. */
interface CoordinatorEvents {
  event: [name: string, data: JsonObject];
}

export class Coordinator extends EventEmitter<CoordinatorEvents> {
  readonly primary: Primary;
  readonly backup: Backup;
  /** What was measured, with the history for the status page. */
  readonly telemetry: Telemetry;
  readonly #failovers: FailoverLog;
  readonly #modules: CoordinatorModules;
  readonly #reduce: Reducer;
  readonly #gate: OutputGate;
  #state: HostState;
  readonly #decisions: Decisions;
  readonly #explanation = new Explanation('starting');
  #reasonLogged = '';
  readonly #reasons: LimitedLog;
  readonly #losses: LimitedLog;
  #unprotected: Unprotected | null = null;
  #suspectedFor = 'this coordinator was started again';
  /** In JOIN: what the register says about the machine, to be added to the reason. */
  #elsewhere = '';
  #since = new Date();
  readonly #queue: fastq.queue<HostEvent>;
  #retryTimer: NodeJS.Timeout | undefined;
  #doubtTimer: NodeJS.Timeout | undefined;
  #gatewayLost = false;
  /** When the event that is being taken was begun; undefined while none is. */
  #takingSince: number | undefined;
  #closed = false;

  private constructor(modules: CoordinatorModules, state: HostState) {
    super();
    this.#modules = modules;
    this.#reasons = new LimitedLog(modules.log, { linesMax: 20 });
    this.#losses = new LimitedLog(modules.log);
    this.#reduce = sabotagedReducer(modules.sabotage);
    this.#state = state;
    this.#failovers = new FailoverLog(modules.clock);
    this.#queue = fastq((event: HostEvent, taken) => this.#take(event, taken), 1);
    const nextEpoch = () => Math.max(0, this.primary.takenEpoch, this.#state.lastEpoch) + 1;
    this.telemetry = new Telemetry(modules.clock, state.name);
    this.#gate = new OutputGate({ ...modules, telemetry: this.telemetry }, nextEpoch);
    const shared = {
      ...modules,
      telemetry: this.telemetry,
      gate: this.#gate,
      state: () => this.#state,
      dispatch: (event: HostEvent) => this.dispatch(event),
      explain: (reason: string) => this.#explain(reason),
      emit: (event: string, data: JsonObject) => this.emit('event', event, data),
    };
    this.primary = new Primary(shared);
    this.backup = new Backup(shared);
    this.#decisions = new Decisions({
      ...shared,
      trouble: (trouble, text) => this.#trouble(trouble, text),
      again: () => this.#after(),
    });
    this.on('event', name => this.telemetry.event(name));
    modules.gateway?.on('change', reachable => this.#gatewayChanged(reachable));
    modules.proxy.on('lost', error => this.#proxyLost(error));
  }

  /**
   * Reads the register, takes the place that it gives, and begins to work.
   * @param listener Hears every event, also those of the start.
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE, CURLING_WITNESS_STORE, CURLING_REGISTER, CURLING_CONNECT (no
   *   monitor). A guest that runs here and belongs to another host is stopped.
   */
  static async start(modules: CoordinatorModules, listener?: EventListener): Promise<Coordinator> {
    const { config, identity, sabotage } = modules;
    const { incarnation } = identity.current;
    const newLife = sabotage === 'empty-backup-answers' ? () => incarnation : newIdentity;
    const qmp = await findGuest(config, identity);
    try {
      return await Coordinator.#start(modules, qmp, newLife, listener);
    } catch (error) {
      qmp?.close();
      throw error;
    }
  }

  static async #start(
    modules: CoordinatorModules,
    qmp: QmpClient | undefined,
    newLife: IncarnationSource,
    listener: EventListener | undefined,
  ) {
    const { config, identity, witness, proxy } = modules;
    if (qmp && config.source === undefined) await endColo(qmp);
    const { epoch } = await proxy.status();
    const me = { host: config.host, incarnation: identity.current.incarnation };
    let register = await witness.read(config.vm);
    if (!register && qmp && config.create) {
      register = (await witness.swap(createRequest(config.vm, me))).register;
    }
    const pair = identity.current.unresolvedPair;
    const step = initialState(
      {
        vm: config.vm,
        me,
        register,
        guestRuns: qmp !== undefined,
        lastEpoch: Math.max(0, epoch.open),
        onBackupLoss: config.onBackupLoss,
        ...(pair ? { unresolvedPair: pair } : {}),
      },
      newLife,
    );
    const coordinator = new Coordinator(modules, step.state);
    if (listener) coordinator.on('event', listener);
    coordinator.#unprotected = unprotectedIn(step.state, null, '', new Date());
    if (qmp) coordinator.primary.attach(qmp);
    try {
      await coordinator.backup.listen();
      await coordinator.#performAll(step.actions);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    coordinator.#doubtTimer = setInterval(() => coordinator.#doubt(), DOUBT_MS);
    coordinator.#after();
    return coordinator;
  }

  get gateway(): Gateway | undefined {
    return this.#modules.gateway;
  }

  get state(): HostState {
    return this.#state;
  }

  /** Why it is as it is, in words; on an empty host also who has the machine. */
  get reason(): string {
    const { text } = this.#explanation;
    return this.#state.name === 'JOIN' ? text + this.#elsewhere : text;
  }

  /** Failovers to this host since this process started, newest last. */
  get failovers(): FailoverRecord[] {
    return this.#failovers.records;
  }

  /** Since when and why nobody else has the state of the guest that runs here; null when somebody has. */
  get unprotected(): Unprotected | null {
    return this.#unprotected;
  }

  get since(): Date {
    return this.#since;
  }

  /** For how long one event has been worked on, milliseconds; 0 when nothing is being done. */
  get busyMs(): number {
    return this.#takingSince === undefined ? 0 : this.#modules.clock.now() - this.#takingSince;
  }

  /** Takes an event; at once when nothing else is being done. */
  dispatch(event: HostEvent): void {
    if (this.#closed) return;
    this.#queue.push(event);
  }

  /**
   * The operator wants protection, or wants it to end.
   * @throws CurlingError CURLING_STATE on a host that does not run the guest
   */
  want(wanted: boolean): void {
    if (!this.#state.running) {
      const text = `the host that runs the guest takes this; this host is in ${this.#state.name}`;
      throw new CurlingError('CURLING_STATE', text);
    }
    this.primary.want(wanted);
    if (!wanted) this.dispatch({ type: 'open-requested' });
    const paired = ['PROT', 'SYNC', 'SRES'].includes(this.#state.name);
    if (!wanted && paired)
      this.dispatch({ type: 'suspect-peer', reason: 'the operator ended protection' });
  }

  /**
   * The operator wants the other host to run the machine, or this one.
   * @throws CurlingError CURLING_STATE
   */
  failover(): void {
    if (this.#state.name === 'BACK') return this.backup.takeOver();
    if (this.#state.name === 'PROT') return this.primary.yieldTo(ASKED_FOR);
    const text = `a failover needs the state PROT or BACK; this host is in ${this.#state.name}`;
    throw new CurlingError('CURLING_STATE', text);
  }

  /** Ends this process's work. A guest that runs here runs on, and its output stays as it is: held or free. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#doubtTimer);
    clearTimeout(this.#retryTimer);
    await this.primary.close();
    await this.backup.close();
    this.#modules.witness.close();
    this.#modules.proxy.close();
  }

  /** Takes one event to its end; called by the queue, one at a time. */
  #take(event: HostEvent, taken: (error: Error | null) => void): void {
    const before = this.#state;
    this.#takingSince = this.#modules.clock.now();
    const finish = () => {
      this.#takingSince = undefined;
      if (before.name !== this.#state.name) this.#changed(before);
      this.#after();
      taken(null);
    };
    try {
      this.#note(event);
      const step = this.#reduce(before, event, newIdentity);
      this.#state = step.state;
      const performed = this.#performAll(step.actions);
      if (performed) performed.then(finish).catch(error => this.#failed(error));
      else finish();
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * Something that must not fail has: a defect, or a store that cannot be made. The process ends, and output stays as it
   * is: held, or free under this host's own grant.
   */
  #failed(error: unknown): void {
    this.#modules.log.fatal({ code: asCurlingError(error).code }, messageOf(error));
    setImmediate(() => {
      throw error;
    });
  }

  /** Performs actions in order; returns a promise only when one of them has to be waited for. */
  #performAll(actions: readonly HostAction[], from = 0): Promise<void> | undefined {
    for (let at = from; at < actions.length; at++) {
      const done = this.#perform(actions[at]!);
      if (done) return done.then(() => this.#performAll(actions, at + 1));
    }
    return undefined;
  }

  #perform(action: HostAction): Promise<void> | undefined {
    switch (action.type) {
      case 'release':
        this.#gate.release(action.epoch);
        return undefined;
      case 'send-ack':
        this.backup.acknowledge(action.epoch);
        return undefined;
      case 'swap':
        this.#decisions.swap(action.request);
        return undefined;
      case 'read-register':
        this.#decisions.read();
        return undefined;
      case 'notify':
        this.#notify(action.notice, action.reason);
        return undefined;
      case 'hold':
        return this.#hold(action.epoch);
      case 'open':
        return this.#open();
      case 'end-protection':
        return this.primary.endProtection();
      case 'discard-output':
        return this.#gate.discard();
      case 'resume-guest':
        return this.#resume(action.from);
      case 'stop-guest':
        return this.#stopGuest();
      case 'drop-state':
        return this.#drop(action.incarnation);
    }
  }

  /** What has to follow every event: another attempt when something is unresolved, a look for a backup. */
  #after(): void {
    if (unresolved(this.#state) && !this.#retryTimer && !this.#closed) {
      const { resumeFailed } = this.#state;
      if (resumeFailed && !this.backup.canResume) return this.#explain(RESUME_HOPELESS);
      const waitMs = resumeFailed ? RESUME_RETRY_MS : RETRY_MS;
      this.#retryTimer = setTimeout(() => {
        this.#retryTimer = undefined;
        if (!unresolved(this.#state)) return;
        if (['PRES', 'SRES', 'FROZ'].includes(this.#state.name)) this.#decisions.retry();
        else this.dispatch({ type: 'retry' });
      }, waitMs);
    }
  }

  #note(event: HostEvent): void {
    if (event.type === 'suspect-peer') this.#suspectedFor = event.reason;
    if (event.type !== 'suspect-peer' || this.#state.name !== 'BACK') return;
    this.#modules.stopAt('suspected');
    this.#failovers.suspected(this.#state, event.reason, this.backup.silentMs);
  }

  #changed(before: HostState): void {
    const { name, generation, me } = this.#state;
    this.#since = new Date();
    this.telemetry.history.state(name, this.#modules.clock.now());
    this.#elsewhere = '';
    const said = { said: this.#unprotected, state: before };
    this.#unprotected = unprotectedIn(this.#state, said, this.#suspectedFor, this.#since);
    // What stood in the way of a question does not outlive it; the next question will find out.
    for (const trouble of ['gateway', 'witness'] as const) this.#trouble(trouble, null);
    const data = { vm: this.#state.vm, from: before.name, to: name, generation, host: me.host };
    this.emit('event', 'STATE_CHANGE', data);
    this.#modules.log.info(data, `${before.name} → ${name}`);
    const { identity } = this.#modules;
    if (before.name === 'SRES') identity.setUnresolvedPair(null);
    if (name === 'PROT') this.primary.activate();
    if (name === 'FROZ') this.backup.freeze();
    if (name === 'SOLO') this.primary.seek();
    if (this.#state.held && !this.primary.wanted) this.dispatch({ type: 'open-requested' });
  }

  #doubt(): void {
    if (this.#state.name === 'SOLO' && this.#state.running) void this.#gate.check();
    if (['PROT', 'BACK', 'SOLO'].includes(this.#state.name) && this.#queue.idle()) {
      this.dispatch({ type: 'doubt', reason: 'a look from time to time' });
    }
    if (this.#state.name === 'JOIN') void this.#lookElsewhere();
  }

  /** For the operator: an empty host may be all that is left to be asked. */
  async #lookElsewhere(): Promise<void> {
    const found = await this.#modules.witness.read(this.#state.vm).then(ownerText, messageOf);
    this.#elsewhere = `; ${found}`;
  }

  /** Holds all output. For a protection, the guest is stopped meanwhile and runs on behind it. */
  async #hold(epoch: number | null): Promise<void> {
    let reason = 'the protection was given up meanwhile';
    try {
      if (this.#modules.sabotage !== 'emits-during-reprotection') await this.#gate.hold(epoch);
      if (this.#state.name !== 'SYNC' || this.primary.begin()) return;
    } catch (error) {
      reason = `output cannot be held: ${messageOf(error)}`;
      this.#losses.say('error', {}, reason);
    }
    if (this.#state.name === 'SYNC') this.#queue.push({ type: 'give-up', reason });
  }

  /** This host holds the grant: what is held leaves, the kernel's path opens, and a protection under way ends. */
  async #open(): Promise<void> {
    await Promise.all([this.#gate.open(), this.primary.endProtection()]);
  }

  async #resume(epoch: number): Promise<void> {
    this.#failovers.granted();
    this.#modules.stopAt('granted');
    try {
      // The grant is ours, so output may be free before the guest says its first word; what an earlier life of this host
      // left in the proxy is nobody's any more.
      const opened = this.#gate.discard().then(() => this.#openOrHold(epoch + 1));
      const [standby] = await Promise.all([this.backup.resume(epoch), opened]);
      // First this: a QEMU that has ended meanwhile is told by attach, and was resumed before.
      this.#queue.push({ type: 'resumed' });
      this.primary.attach(standby.qmp);
      this.#modules.stopAt('announced');
      const cause = this.#failovers.resumed(this.#state, epoch);
      if (cause) this.telemetry.failedOver(cause);
    } catch (error) {
      this.#modules.log.fatal({ code: asCurlingError(error).code }, messageOf(error));
      this.#queue.push({ type: 'guest-lost', reason: messageOf(error) });
    }
  }

  /** Before a promoted guest says its first word; without a proxy nothing leaves, and the gate catches up. */
  async #openOrHold(epoch: number): Promise<void> {
    if (!this.#state.held) return this.#gate.open();
    await this.#gate
      .hold(epoch)
      .catch(error => this.#losses.say('error', {}, `output cannot be held: ${messageOf(error)}`));
  }

  /** Another host owns the machine: the guest here ends for good, and its output with it. */
  async #stopGuest(): Promise<void> {
    const { identity, config } = this.#modules;
    this.primary.leave();
    const path = identity.current.guest?.qmpPath ?? config.qmpPath;
    if (!(await quitGuest(this.primary.guest, path))) {
      return this.#explain('the guest does not end; its output stays held');
    }
    this.primary.detach();
    this.#queue.push({ type: 'guest-stopped' });
  }

  async #drop(incarnation: string): Promise<void> {
    const { identity } = this.#modules;
    identity.renew(incarnation);
    await this.backup.drop();
    try {
      await this.#gate.discard();
      await this.#gate.hold(null);
    } catch (error) {
      this.#losses.say('error', {}, `output cannot be held: ${messageOf(error)}`);
    }
  }

  #notify(notice: HostNotice, reason: string): void {
    const { vm, me, generation } = this.#state;
    this.#explain(reason);
    if (LOUD.has(notice)) this.#modules.log.warn({ notice, generation }, reason);
    const record = notice === 'failed-over' ? (this.failovers.at(-1) ?? {}) : {};
    this.emit('event', EVENT_OF[notice], { vm, host: me.host, generation, reason, ...record });
  }

  /** Keeps the words for the status; a new reason is logged once. */
  #explain(reason: string): void {
    this.#explanation.say(reason);
    this.#logReason();
  }

  #trouble(trouble: Trouble, text: string | null): void {
    this.#explanation.trouble(trouble, text);
    this.#logReason();
  }

  #logReason(): void {
    const { reason } = this;
    if (reason === this.#reasonLogged) return;
    this.#reasonLogged = reason;
    this.#reasons.say('info', {}, reason);
  }

  #gatewayChanged(reachable: boolean): void {
    if (reachable && !this.#gatewayLost) return;
    this.#gatewayLost = !reachable;
    const { gateway } = this.#modules;
    const { vm, me } = this.#state;
    const data = { vm, host: me.host, reason: reachable ? 'it answers again' : gateway!.text };
    this.#reasons.say('warn', data, 'gateway');
    if (reachable) this.emit('event', 'GATEWAY_BACK', data);
    else this.emit('event', 'GATEWAY_LOST', data);
  }

  #proxyLost(error: CurlingError): void {
    this.#losses.say('error', { code: error.code }, `the proxy is lost: ${error.message}`);
    const { vm, me } = this.#state;
    this.emit('event', 'PROXY_LOST', { vm, host: me.host, reason: error.message });
  }
}
