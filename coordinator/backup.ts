/**
 * The backup role: admits a primary, keeps its checkpoints and a standby QEMU that has the shadow RAM mapped, and resumes
 * the guest when the arbitration says so.
 */
import type { Clock } from '../common/clock.ts';
import { asCurlingError, CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import type { StopAt } from '../common/test-stop.ts';
import type { HostEvent } from './arbitration/host-events.ts';
import type { HostState } from './arbitration/host-state.ts';
import { readBootId, Store } from './checkpoint/store.ts';
import type { CoordinatorConfig } from './config.ts';
import { Drill, type DrillDone } from './drill.ts';
import type { IdentityFile } from './identity.ts';
import { compareGuests, describeGuest } from './qemu/guest-description.ts';
import type { Standby } from './qemu/standby.ts';
import type { StandbyMemory } from './qemu/standby-arguments.ts';
import { BackupListener } from './replication/listener.ts';
import type { CheckpointSink } from './replication/sink.ts';
import type { Hello, StandbyWord } from './replication/types.ts';
import type { Sabotage } from './sabotage.ts';
import { LateSink } from './sabotage-sink.ts';
import { qmpPathOf, StandbyKeeper } from './standby-keeper.ts';
import type { DrillRecord, StandbyStatus } from './status.ts';
import { ASKED_FOR, primarySays, silentFor } from './suspicion.ts';
import { resumeStream, shorten, Trial } from './trial.ts';
import { Watch } from './watch.ts';

/** A backup waits this much longer than a primary: when the link alone fails, the host that runs the guest is first. */
const PATIENCE_MS = 100;
/** After an orderly end the register is read first; a primary that said goodbye and died is suspected this much later. */
const FAREWELL_MS = 500;
/** Silence in the middle of a full copy; long, because nothing is heard while the shadow is being emptied. */
const COPY_SILENCE_MS = 60_000;

const NO_TRIAL =
  'full copies are not tried on this host (--no-trial-load): a state that cannot be loaded shows itself at the failover';

type FullReceived = Extract<HostEvent, { type: 'full-received' }>;

export interface BackupModules {
  config: CoordinatorConfig;
  clock: Clock;
  log: Logger;
  identity: IdentityFile;
  sabotage: Sabotage | undefined;
  stopAt: StopAt;
  state(): HostState;
  dispatch(event: HostEvent): void;
  explain(reason: string): void;
  /** Tells management tools. */
  emit(event: string, data: JsonObject): void;
}

export class Backup {
  readonly #modules: BackupModules;
  readonly #listener: BackupListener;
  /** Of what a primary can cause by coming again. */
  readonly #peerLines: LimitedLog;
  readonly #keeper: StandbyKeeper;
  readonly #trial: Trial;
  readonly #drill: Drill;
  #store: Store;
  #sink: CheckpointSink;
  #watch: Watch | undefined;
  #saidBye = false;
  #farewell: NodeJS.Timeout | undefined;

  constructor(modules: BackupModules) {
    this.#modules = modules;
    const { config, clock } = modules;
    this.#peerLines = new LimitedLog(modules.log);
    this.#keeper = new StandbyKeeper({ ...modules, standby: word => this.#standbyIs(word) });
    this.#trial = new Trial(clock, this.#keeper);
    this.#drill = new Drill({
      ...modules,
      emit: (event, data) => {
        const { vm, me, generation } = modules.state();
        modules.emit(event, { vm, host: me.host, generation, ...data });
      },
    });
    this.#store = this.#newStore();
    this.#sink = this.#sinkOf(this.#store);
    this.#listener = new BackupListener(
      {
        vm: config.vm,
        host: config.host,
        incarnation: () => modules.state().me.incarnation,
        sink: () => this.#sink,
        beatMs: config.detection.beatMs,
        clock,
        credentials: config.credentials,
        log: modules.log,
      },
      {
        hello: hello => this.#hello(hello),
        full: () => this.#mayReceive(),
        committed: epoch => this.#committed(epoch),
        heard: now => this.#watch?.heard(now),
        guestLost: reason => this.#suspect(primarySays(reason)),
        bye: () => {
          this.#saidBye = true;
        },
        closed: error => this.#closed(error),
      },
    );
  }

  get peerHost(): string | null {
    return this.#listener.session?.hello?.host ?? null;
  }

  get roundTripMs(): number | null {
    return this.#listener.session?.channel.roundTripMs ?? null;
  }

  /** Whether a standby QEMU is up that could run the guest. */
  get standbyUp(): boolean {
    return this.#keeper.up;
  }

  /** Whether this host could run the guest whose copy it has; null when it has none. */
  get standby(): StandbyStatus | null {
    if (!this.#keeper.memory) return null;
    return { up: this.#keeper.up, reason: this.#keeper.lost };
  }

  /** Of the replication's listener, since the start. */
  get listenerCounters(): BackupListener['counters'] {
    return this.#listener.counters;
  }

  /** Of the store, since the last copy that this host gave up or ran. */
  get storeCounters(): Store['counters'] {
    return this.#store.counters;
  }

  /** Milliseconds since the primary was last heard; 0 without one. */
  get silentMs(): number {
    return this.#watch?.silentMs ?? 0;
  }

  /** Milliseconds that the trial load of the newest full copy took; null when none was made. */
  get trialMs(): number | null {
    return this.#trial.lastMs;
  }

  /** The newest drill on this host; null before. */
  get lastDrill(): DrillRecord | null {
    return this.#drill.last;
  }

  /** What an operator should know about this host as a backup. */
  get warnings(): readonly string[] {
    const { trialLoad, standbyCommand } = this.#modules.config;
    const { lost } = this.#keeper;
    return [
      ...(lost === null ? [] : [`this host has no standby QEMU and takes nothing over: ${lost}`]),
      ...(trialLoad || standbyCommand.length === 0 ? [] : [NO_TRIAL]),
    ];
  }

  /**
   * Lets primaries connect.
   * @throws CurlingError CURLING_SOCKET_IN_USE or CURLING_CONNECT
   */
  async listen(): Promise<void> {
    await this.#listener.listen(this.#modules.config.listen);
    // Not before: if somebody else serves this address, the standby is theirs.
    this.#keeper.endOrphan();
  }

  /** Nothing is accepted or acknowledged from now on. */
  freeze(): void {
    this.#drill.end('this host takes over');
    this.#listener.session?.freeze();
  }

  /** Acknowledges everything up to `epoch`. */
  acknowledge(epoch: number): void {
    if (this.#listener.session?.ack(epoch)) this.#modules.stopAt('ack-sent');
  }

  /**
   * Rehearses a failover to this host: see drill.ts.
   * @throws CurlingError CURLING_STATE in any state but BACK, and as Drill.run
   */
  drill(): Promise<DrillDone> {
    const { name, peer } = this.#modules.state();
    const session = this.#listener.session;
    const { memory } = this.#keeper;
    if (name !== 'BACK' || !session?.hello || !memory) {
      const where = name === 'PROT' && peer ? `; ask its backup, ${peer.host}` : '';
      const text = `a drill needs a backup, in state BACK; this host is in ${name}${where}`;
      throw new CurlingError('CURLING_STATE', text);
    }
    return this.#drill.run({
      memory,
      guest: session.hello.guest,
      standby: () => this.#keeper.ready(),
      hold: over => session.hold(over),
      view: () => this.#store.view(),
      goOn: nowMs => session.goOn(nowMs),
    });
  }

  /** The operator wants this host to take over. */
  takeOver(): void {
    this.#suspect(ASKED_FOR);
  }

  /**
   * Resumes the guest from the committed checkpoint, which must be `epoch`, and returns its QEMU. May be tried again.
   * @throws CurlingError CURLING_QEMU_RESUME, CURLING_QEMU_START; the guest does not run then.
   */
  async resume(epoch: number): Promise<Standby> {
    const guest = this.#store.finalize();
    if (guest.epoch !== epoch && this.#modules.sabotage === undefined) {
      const text = `the store is at checkpoint ${guest.epoch}, expected ${epoch}`;
      throw new CurlingError('CURLING_QEMU_RESUME', text);
    }
    const stream = resumeStream(guest);
    const standby = await this.#keeper.ready();
    const { config, identity, stopAt } = this.#modules;
    const aboutToRun = () => {
      // Whoever starts after us must not end it as a standby, but go on with it.
      identity.setStandby(null);
      identity.setGuest(qmpPathOf(config));
    };
    try {
      await standby.resume(stream, aboutToRun, stopAt);
    } catch (error) {
      // A guest that has run has changed the shadow, and may have been heard: another one would contradict it.
      await (standby.mayHaveRun ? this.#keeper.end() : this.#keeper.discard(standby));
      throw error;
    }
    this.#keeper.release();
    standby.announce().catch(error => this.#modules.log.warn(`announcing: ${messageOf(error)}`));
    this.#endSession('this host has taken over');
    try {
      // The shadow is the guest's memory now, and no checkpoint any more.
      await this.#store.discard();
      this.#replaceStore();
    } catch (error) {
      // The guest runs, whatever becomes of this; a later copy will be refused with the reason.
      this.#modules.log.error(`the store of the last copy stays: ${messageOf(error)}`);
    }
    return standby;
  }

  /** Whether resume() can be hoped to work. */
  get canResume(): boolean {
    return this.#keeper.hopeful;
  }

  /** Forgets every page, the primary and the standby. */
  async drop(): Promise<void> {
    this.#endSession('this backup gave up its copy');
    await this.#store.close();
    this.#replaceStore();
    await this.#keeper.end();
  }

  async close(): Promise<void> {
    this.#endSession('this backup ends');
    await this.#listener.close();
    await this.#keeper.end();
    await this.#store.discard();
  }

  /** Tells the operators of both hosts. */
  #standbyIs(word: StandbyWord): void {
    const { state, emit } = this.#modules;
    const { vm, me, generation } = state();
    const reason = shorten(word.reason);
    const data = { vm, host: me.host, generation, backup: me.host, reason };
    if (word.up) emit('STANDBY_READY', data);
    else emit('STANDBY_LOST', data);
    this.#listener.session?.standby({ up: word.up, reason });
  }

  #newStore(): Store {
    const { config, stopAt } = this.#modules;
    const { shadowDir: directory, vm, stagingBytesMax: stagedBytesMax } = config;
    return Store.create({ directory, vm, bootId: readBootId(), stopAt, stagedBytesMax });
  }

  #sinkOf(store: Store): CheckpointSink {
    return this.#modules.sabotage === 'ack-before-commit' ? new LateSink(store) : store;
  }

  #replaceStore(): void {
    this.#store = this.#newStore();
    this.#sink = this.#sinkOf(this.#store);
  }

  /** Decides about a primary: only an empty host with an equal standby takes it. */
  async #hello(hello: Hello): Promise<void> {
    const { generation, epoch, host, sender } = hello;
    const from = { host, incarnation: sender };
    this.#modules.dispatch({ type: 'never-paired', generation, epoch, from });
    this.#mayReceive();
    this.#trial.admit(hello.sender);
    await this.#trial.idle();
    const standby = await this.#standbyFor(hello);
    const { host: ours } = this.#modules.config;
    const places = { here: `on ${ours}`, there: `on ${hello.host}` };
    const differences = compareGuests(await describeGuest(standby.qmp), hello.guest, places);
    if (differences.length > 0) {
      const what = `the standby on ${ours} differs from the guest on ${hello.host}: ${differences.join('; ')}`;
      const text = `${what}. Change the standby's command on ${ours} (curlingctl standby-command prints the guest's on ${hello.host})`;
      throw new CurlingError('CURLING_QEMU_MISMATCH', text);
    }
    this.#mayReceive();
    this.#saidBye = false;
    // What the one before said is not about this one.
    clearTimeout(this.#farewell);
    this.#watchCopy();
    this.#modules.explain(`receives the full copy of ${hello.vm} from ${hello.host}`);
  }

  #mayReceive(): void {
    const { name } = this.#modules.state();
    if (name === 'JOIN') return;
    const text = `this host is in state ${name} and takes no full copy`;
    throw new CurlingError('CURLING_REPLICATION_REFUSED', text);
  }

  async #standbyFor({ mainBlock, mainBytes }: Hello): Promise<Standby> {
    const keeper = this.#keeper;
    const start = (memory?: StandbyMemory) =>
      this.#modules.config.trialLoad ? keeper.spare(memory) : keeper.ready(memory);
    if (keeper.fits(mainBlock, mainBytes)) return start();
    await this.#keeper.end();
    const shadowPath = await this.#store.prepare(mainBlock, mainBytes);
    return start({ mainBlock, ramBytes: mainBytes, shadowPath });
  }

  #committed(epoch: number): void {
    const { state, dispatch, config } = this.#modules;
    const { name } = state();
    const pair = this.#sink.identity;
    const hello = this.#listener.session?.hello;
    if (!pair || !hello) return;
    const { generation, sender, receiver } = pair;
    if (name !== 'JOIN') return dispatch({ type: 'checkpoint-committed', generation, epoch });
    const received: FullReceived = {
      ...{ type: 'full-received', generation, epoch },
      ...{ from: { host: hello.host, incarnation: sender }, to: receiver },
    };
    if (!config.trialLoad) return this.#accept(received);
    void this.#try(received);
  }

  /** Accepts a full copy when a spare QEMU can load it; otherwise the primary is told why, and runs on without a pair. */
  async #try(received: FullReceived): Promise<void> {
    const session = this.#listener.session;
    const waits = () => this.#listener.session === session && this.#modules.state().name === 'JOIN';
    try {
      await this.#trial.run(this.#store.view(), received.from.incarnation, waits);
      if (waits()) this.#accept(received);
    } catch (error) {
      if (!waits()) return;
      const facts = { code: asCurlingError(error).code };
      this.#peerLines.say('error', facts, messageOf(error));
      session?.bye(messageOf(error));
    }
  }

  #accept(received: FullReceived): void {
    const { config, clock, dispatch } = this.#modules;
    const { silenceMs, beatMs } = config.detection;
    this.#watch?.stop();
    this.#watch = new Watch(clock, { silenceMs: silenceMs + PATIENCE_MS, beatMs }, silentMs =>
      this.#suspect(silentFor(silentMs)),
    );
    dispatch(received);
  }

  /** A primary that vanishes in the middle of its copy must not keep the only place. */
  #watchCopy(): void {
    const { clock, config } = this.#modules;
    const { beatMs } = config.detection;
    this.#watch?.stop();
    this.#watch = new Watch(clock, { silenceMs: COPY_SILENCE_MS, beatMs }, () => {
      const text = `the primary was silent for ${COPY_SILENCE_MS} ms in the middle of its copy`;
      this.#listener.session?.channel.destroy(new CurlingError('CURLING_TIMEOUT', text));
    });
  }

  /** The primary may be gone. Without a standby this host could not run the guest, and must not ask for it. */
  #suspect(reason: string): void {
    if (!this.#keeper.hopeful) {
      this.#modules.explain(`${reason}; this host has no standby QEMU and takes nothing over`);
      return this.#modules.dispatch({ type: 'doubt', reason });
    }
    const incarnation = this.#sink.identity?.sender;
    const { dispatch } = this.#modules;
    dispatch({ type: 'suspect-peer', reason, ...(incarnation ? { incarnation } : {}) });
  }

  #closed(error: CurlingError | undefined): void {
    this.#drill.end('the connection to the primary ended');
    const { state, dispatch, explain } = this.#modules;
    const reason = error?.message ?? 'the primary ended the connection';
    if (state().name === 'JOIN') {
      explain(
        `waits for a primary; the last one: ${error?.message ?? this.#trial.failure ?? reason}`,
      );
      void this.#endTrial();
      return;
    }
    this.#peerLines.say('info', {}, `replication: ${reason}`);
    // Only the peer's own end is a sign that it is gone. What this host ended, or the peer with a goodbye, the register
    // knows about first.
    if (error?.code === 'CURLING_CONNECTION_LOST' && !this.#saidBye) return this.#suspect(reason);
    this.#watch?.stop();
    dispatch({ type: 'doubt', reason });
    this.#farewell = setTimeout(() => this.#suspect(reason), FAREWELL_MS).unref();
  }

  /** What was copied counts for nothing, whether its trial is under way, over, or had not begun. */
  async #endTrial(): Promise<void> {
    this.#sink.abort();
    this.#store.forget();
    if (this.#trial.underWay) await this.#keeper.end();
  }

  #endSession(reason: string): void {
    this.#drill.end(reason);
    clearTimeout(this.#farewell);
    this.#watch?.stop();
    this.#watch = undefined;
    this.#listener.session?.bye(reason);
  }
}
