/**
 * The backup role: admits a primary, keeps its checkpoints and a standby QEMU that has the shadow RAM mapped, and resumes
 * the guest when the arbitration says so.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../common/clock.ts';
import { CurlingError, messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { HostEvent } from './arbitration/host-events.ts';
import type { HostState } from './arbitration/host-state.ts';
import { readBootId, Store } from './checkpoint/store.ts';
import type { CoordinatorConfig } from './config.ts';
import type { IdentityFile } from './identity.ts';
import { compareGuests, describeGuest } from './qemu/guest-description.ts';
import { encodeResume } from './qemu/resume.ts';
import { Standby } from './qemu/standby.ts';
import { BackupListener } from './replication/listener.ts';
import type { CheckpointSink } from './replication/sink.ts';
import type { Hello } from './replication/types.ts';
import type { Sabotage } from './sabotage.ts';
import { LateSink } from './sabotage-sink.ts';
import { Watch } from './watch.ts';

/** QEMU's name for the guest's main memory on pc, q35 and microvm; the shadow and the standby's backend are called so. */
const MAIN_BLOCK = 'pc.ram';
/** A backup waits this much longer than a primary: when the link alone fails, the host that runs the guest is first. */
const PATIENCE_MS = 100;
/** After an orderly end the register is read first; a primary that said goodbye and died is suspected this much later. */
const FAREWELL_MS = 500;

export interface BackupModules {
  config: CoordinatorConfig;
  clock: Clock;
  log: Logger;
  identity: IdentityFile;
  sabotage: Sabotage | undefined;
  state(): HostState;
  dispatch(event: HostEvent): void;
  explain(reason: string): void;
}

export class Backup {
  readonly #modules: BackupModules;
  readonly #listener: BackupListener;
  #store: Store;
  #sink: CheckpointSink;
  #standby: Standby | undefined;
  #standbyBytes = 0;
  #watch: Watch | undefined;
  #saidBye = false;
  #farewell: NodeJS.Timeout | undefined;

  constructor(modules: BackupModules) {
    this.#modules = modules;
    const { config, clock } = modules;
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
      },
      {
        hello: hello => this.#hello(hello),
        full: () => this.#mayReceive(),
        committed: epoch => this.#committed(epoch),
        heard: now => this.#watch?.heard(now),
        guestLost: reason => this.#suspect(`the primary says: ${reason}`),
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

  /** Milliseconds since the primary was last heard; 0 without one. */
  get silentMs(): number {
    return this.#watch?.silentMs ?? 0;
  }

  /**
   * Ends the standby that a coordinator before this one left, and lets primaries connect.
   * @throws CurlingError CURLING_SOCKET_IN_USE or CURLING_CONNECT
   */
  listen(): Promise<void> {
    this.#endOrphan();
    return this.#listener.listen(this.#modules.config.listen);
  }

  /** Nothing is accepted or acknowledged from now on. */
  freeze(): void {
    this.#listener.session?.freeze();
  }

  /** Acknowledges everything up to `epoch`. */
  acknowledge(epoch: number): void {
    this.#listener.session?.ack(epoch);
  }

  /** The operator wants this host to take over. */
  takeOver(): void {
    this.#suspect('the operator asked for it');
  }

  /**
   * Resumes the guest from the committed checkpoint, which must be `epoch`, and returns its QEMU.
   * @throws CurlingError CURLING_QEMU_RESUME; the guest does not run then.
   */
  async resume(epoch: number): Promise<Standby> {
    const standby = this.#standby;
    if (!standby)
      throw new CurlingError('CURLING_QEMU_RESUME', 'there is no standby QEMU any more');
    const guest = this.#store.finalize();
    if (guest.epoch !== epoch && this.#modules.sabotage === undefined) {
      const text = `the store is at checkpoint ${guest.epoch}, expected ${epoch}`;
      throw new CurlingError('CURLING_QEMU_RESUME', text);
    }
    const { layout, device, otherBlocks } = guest;
    const blocks = layout.blocks.map((_, index) => otherBlocks.get(index));
    const stream = encodeResume({ layout, device, blocks });
    // The guest changes the shadow as soon as it runs: from here on no checkpoint is held.
    await this.#store.discard();
    await standby.resume(stream);
    this.#standby = undefined;
    this.#modules.identity.setStandby(null);
    standby.announce().catch(error => this.#modules.log.warn(`announcing: ${messageOf(error)}`));
    this.#endSession('this host has taken over');
    this.#replaceStore();
    return standby;
  }

  /** Forgets every page and the primary; the standby stays for the next full copy. */
  async drop(): Promise<void> {
    this.#endSession('this backup gave up its copy');
    await this.#store.close();
    this.#replaceStore();
    await this.#endStandby();
  }

  async close(): Promise<void> {
    this.#watch?.stop();
    await this.#listener.close();
    await this.#endStandby();
    await this.#store.discard();
  }

  #newStore(): Store {
    const { config } = this.#modules;
    return Store.create({ directory: config.shadowDir, vm: config.vm, bootId: readBootId() });
  }

  #sinkOf(store: Store): CheckpointSink {
    return this.#modules.sabotage === 'ack-before-commit' ? new LateSink(store) : store;
  }

  #replaceStore(): void {
    this.#store = this.#newStore();
    this.#sink = this.#sinkOf(this.#store);
  }

  #endOrphan(): void {
    const { config, identity } = this.#modules;
    const pid = identity.current.standbyPid;
    identity.setStandby(null);
    if (pid === null || !commandLineOf(pid).includes(qmpPathOf(config))) return;
    this.#modules.log.warn({ pid }, 'ending the standby QEMU of a coordinator before this one');
    process.kill(pid, 'SIGKILL');
  }

  async #endStandby(): Promise<void> {
    const standby = this.#standby;
    this.#standby = undefined;
    await standby?.kill();
    this.#modules.identity.setStandby(null);
  }

  /** Decides about a primary: only an empty host with an equal standby takes it. */
  async #hello(hello: Hello): Promise<void> {
    this.#mayReceive();
    const standby = await this.#standbyFor(hello.mainBytes);
    const differences = compareGuests(await describeGuest(standby.qmp), hello.guest);
    if (differences.length > 0) {
      const text = `this host's standby differs from the guest on ${hello.host}: ${differences.join('; ')}`;
      throw new CurlingError('CURLING_QEMU_MISMATCH', text);
    }
    this.#mayReceive();
    this.#saidBye = false;
    // What the one before said is not about this one.
    clearTimeout(this.#farewell);
    this.#watch?.stop();
    this.#modules.explain(`receives the full copy of ${hello.vm} from ${hello.host}`);
  }

  #mayReceive(): void {
    const { name } = this.#modules.state();
    if (name === 'JOIN') return;
    const text = `this host is in state ${name} and takes no full copy`;
    throw new CurlingError('CURLING_REPLICATION_REFUSED', text);
  }

  async #standbyFor(mainBytes: number): Promise<Standby> {
    if (this.#standby && this.#standbyBytes === mainBytes) return this.#standby;
    await this.#endStandby();
    const { config, identity } = this.#modules;
    const shadowPath = await this.#store.prepare(MAIN_BLOCK, mainBytes);
    const standby = await Standby.start({
      argv: config.standbyCommand,
      memory: { mainBlock: MAIN_BLOCK, ramBytes: mainBytes, shadowPath },
      qmpPath: qmpPathOf(config),
      incomingPath: path.join(config.runDir, 'incoming.sock'),
      logPath: path.join(config.runDir, 'qemu.log'),
    });
    this.#standby = standby;
    this.#standbyBytes = mainBytes;
    identity.setStandby(standby.pid ?? null);
    void standby.exited.then(how => {
      if (this.#standby !== standby) return;
      this.#standby = undefined;
      this.#modules.log.error(`the standby QEMU ended: ${how}`);
      this.#listener.session?.bye('the standby QEMU ended');
    });
    return standby;
  }

  #committed(epoch: number): void {
    const { state, dispatch, config, clock } = this.#modules;
    const { name, me } = state();
    const pair = this.#sink.identity;
    const hello = this.#listener.session?.hello;
    if (!pair || !hello) return;
    const { generation, sender } = pair;
    if (name !== 'JOIN') return dispatch({ type: 'checkpoint-committed', generation, epoch });
    const { silenceMs, beatMs } = config.detection;
    this.#watch = new Watch(clock, { silenceMs: silenceMs + PATIENCE_MS, beatMs }, silentMs =>
      this.#suspect(`the primary was silent for ${silentMs.toFixed(0)} ms`),
    );
    const from = { host: hello.host, incarnation: sender };
    dispatch({ type: 'full-received', generation, epoch, from, to: me.incarnation });
  }

  #suspect(reason: string): void {
    const incarnation = this.#sink.identity?.sender;
    const { dispatch } = this.#modules;
    dispatch({ type: 'suspect-peer', reason, ...(incarnation ? { incarnation } : {}) });
  }

  #closed(error: CurlingError | undefined): void {
    const { state, dispatch, explain, log } = this.#modules;
    const reason = error?.message ?? 'the primary ended the connection';
    if (state().name === 'JOIN') {
      explain(`waits for a primary; the last one: ${reason}`);
      this.#sink.abort();
      return;
    }
    log.info(`replication: ${reason}`);
    if (!this.#saidBye) return this.#suspect(reason);
    this.#watch?.stop();
    dispatch({ type: 'doubt', reason });
    this.#farewell = setTimeout(() => this.#suspect(reason), FAREWELL_MS).unref();
  }

  #endSession(reason: string): void {
    this.#watch?.stop();
    this.#watch = undefined;
    this.#listener.session?.bye(reason);
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
