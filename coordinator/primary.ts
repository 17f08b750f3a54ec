/**
 * The primary role: the host whose QEMU runs the guest. Looks for a backup while the machine is unprotected, runs the
 * protection, and watches the backup. What any of it means is decided by the arbitration in coordinator.ts.
 */
import type { Clock } from '../common/clock.ts';
import { asCurlingError, CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import type { TcpAddress } from '../common/options.ts';
import type { QmpClient } from '../common/qmp/client.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import type { StopAt } from '../common/test-stop.ts';
import type { HostEvent } from './arbitration/host-events.ts';
import type { HostState } from './arbitration/host-state.ts';
import type { Owner } from './arbitration/register.ts';
import type { StagingAdvice } from './checkpoint/staging-advice.ts';
import { stagingBound } from './checkpoint/staging-bound.ts';
import { type CheckpointDone, hintTimeout } from './checkpoint-hints.ts';
import type { CoordinatorConfig } from './config.ts';
import { CopyWatch } from './copy-watch.ts';
import { awaited, newProtection } from './new-protection.ts';
import type { OutputGate } from './output-gate.ts';
import { PACKING_FORM } from './packing/format.ts';
import { lz4 } from './packing/lz4.ts';
import { PrimaryNotes } from './primary-notes.ts';
import type { ProtectionRun } from './protection-run.ts';
import type { ProxyClient } from './proxy-client.ts';
import { checkHoldable, type HoldableOptions } from './qemu/checks.ts';
import type { CopyProgress } from './qemu/copy-progress.ts';
import { describeGuest, type GuestDescription } from './qemu/guest-description.ts';
import { vcpuThreads } from './qemu/guest-load.ts';
import { type MainMemory, queryMainMemory } from './qemu/main-memory.ts';
import { dialBackup, saidOf } from './replication/dial.ts';
import type { LinkShare } from './replication/link-share.ts';
import type { SenderSession } from './replication/sender.ts';
import type { StandbyWord } from './replication/types.ts';
import { endAll, monitorsEnd, RECOVER_MS, runsOn, untilRunsOn } from './run-on.ts';
import type { Sabotage } from './sabotage.ts';
import type { StandbyStatus } from './status.ts';
import type { Telemetry } from './telemetry.ts';
import { Watch } from './watch.ts';

/** Between two attempts to find a backup. */
const SEEK_MS = 500;
/** After a copy that came to no end: the guest is what it is, and another copy costs both hosts as much. */
const HOPELESS_REST_MS = 60_000;

export interface PrimaryModules {
  config: CoordinatorConfig;
  clock: Clock;
  log: Logger;
  proxy: ProxyClient;
  gate: OutputGate;
  telemetry: Telemetry;
  sabotage: Sabotage | undefined;
  stopAt: StopAt;
  share: LinkShare | undefined;
  state(): HostState;
  dispatch(event: HostEvent): void;
  /** For the operator: why there is no protection. */
  explain(reason: string): void;
  /** Tells management tools. */
  emit(event: string, data: JsonObject): void;
}

export class Primary {
  readonly #modules: PrimaryModules;
  /** Of a QEMU or a proxy that fails each protection anew. */
  readonly #failures: LimitedLog;
  #qmp: QmpClient | undefined;
  #wanted = true;
  #seekTimer: NodeJS.Timeout | undefined;
  /** No backup is looked for before this. */
  #restUntilMs = 0;
  #copyWatch: CopyWatch | undefined;
  #seeking = false;
  #nextPeer = 0;
  #link: SenderSession | undefined;
  #peer: Owner | undefined;
  #watch: Watch | undefined;
  #protection: ProtectionRun | undefined;
  #vcpuThreads: readonly number[] = [];
  #lastTaken = -1;
  readonly #notes: PrimaryNotes;
  /** Bytes of the guest's main memory. */
  #ramBytes = 0;

  constructor(modules: PrimaryModules) {
    this.#modules = modules;
    this.#failures = new LimitedLog(modules.log);
    this.#notes = new PrimaryNotes(modules.clock);
    modules.proxy.on('outputPending', epoch => this.#protection?.outputPending(epoch));
    modules.proxy.on('bufferFull', epoch => this.#protection?.outputPending(epoch));
  }

  get protection(): ProtectionRun | undefined {
    return this.#protection;
  }

  /** The newest epoch that a protection here has sealed. */
  get takenEpoch(): number {
    return Math.max(this.#protection?.takenEpoch ?? -1, this.#lastTaken);
  }

  get peer(): Owner | undefined {
    return this.#peer;
  }

  get roundTripMs(): number | null {
    return this.#link?.channel.roundTripMs ?? null;
  }

  /** The standby of the backup that is connected, as it says; null without one. */
  get peerStandby(): StandbyStatus | null {
    return this.#link?.state === 'ready' ? this.#notes.standby : null;
  }

  get warnings(): readonly string[] {
    return this.#notes.warnings(this.#link?.state === 'ready' ? this.#peer?.host : undefined);
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  /** The monitor of the guest that runs here. */
  attach(qmp: QmpClient): void {
    this.#qmp = qmp;
    qmp.on('close', error => this.#guestGone(qmp, error));
    if (qmp.closedBy) this.#guestGone(qmp, qmp.closedBy);
  }

  get guest(): QmpClient | undefined {
    return this.#qmp;
  }

  /** The guest does not run here any more. */
  detach(): void {
    this.leave();
    this.#qmp = undefined;
  }

  /** The guest must not run here any more. */
  leave(): void {
    this.#dropLink('this host does not run the machine any more');
    this.#protection = undefined;
  }

  /** Protection is wanted, or not, by the operator. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
    this.#restUntilMs = 0;
    if (wanted) return this.seek();
    clearTimeout(this.#seekTimer);
    if (this.#protection?.phase === 'copying') void this.#abandon('the operator asked for it');
  }

  /** Looks for a backup from now on, until one is found or the state does not want one. */
  seek(): void {
    this.#seekIn(SEEK_MS / 10);
  }

  /** Output is held: lets the guest run on behind its full copy. False when that protection was given up meanwhile. */
  begin(): boolean {
    if (this.#protection?.phase !== 'held') return false;
    this.#protection.begin();
    return true;
  }

  /** The pair stands. */
  activate(): void {
    this.#protection?.activate();
  }

  /**
   * Takes a checkpoint as soon as the pause budget allows. Returns when it is committed at the backup.
   * @param args Of the command: `timeoutMs`.
   * @throws CurlingError CURLING_STATE in any state but PROT; as hintTimeout and Protection.checkpoint
   */
  async checkpoint(args: JsonObject): Promise<CheckpointDone> {
    const timeoutMs = hintTimeout(args);
    const { name, peer } = this.#modules.state();
    const protection = this.#protection;
    if (name === 'PROT' && protection?.phase === 'active') return protection.checkpoint(timeoutMs);
    const where = name === 'BACK' && peer ? `; ask ${peer.host}, which runs it` : '';
    const text = `a checkpoint needs a protected guest, in state PROT; this host is in ${name}${where}`;
    throw new CurlingError('CURLING_STATE', text);
  }

  /** Tells the backup that it may take over. */
  yieldTo(reason: string): void {
    this.#link?.guestLost(reason);
  }

  /** This host may speak freely: the protection under way, if any, is over. Returns when the guest runs without it. */
  async endProtection(): Promise<void> {
    const protection = this.#protection;
    this.#protection = undefined;
    if (protection) this.#lastTaken = Math.max(this.#lastTaken, protection.takenEpoch);
    this.#dropLink('protection has ended');
    await this.#end(protection);
    this.seek();
  }

  /** Lets go of the guest, which runs on. */
  async close(): Promise<void> {
    this.#wanted = false;
    const protection = this.#protection;
    this.#protection = undefined;
    this.#dropLink('this coordinator ends');
    await this.#end(protection);
    clearTimeout(this.#seekTimer);
    const qmp = this.#qmp;
    this.#qmp = undefined;
    qmp?.close();
  }

  async #end(protection: ProtectionRun | undefined): Promise<void> {
    if (!protection) return;
    await endAll(protection, this.#qmp, error => {
      const facts = { code: asCurlingError(error).code };
      this.#failures.say('error', facts, `QEMU: ${messageOf(error)}`);
    });
  }

  get #mayProtect(): boolean {
    const state = this.#modules.state();
    const idle = !this.#protection && !this.#link && !this.#seeking;
    return (
      this.#wanted && idle && state.name === 'SOLO' && state.running && this.#qmp !== undefined
    );
  }

  async #seekOnce(): Promise<void> {
    const { peers } = this.#modules.config;
    if (!this.#mayProtect || peers.length === 0) return;
    const address = peers[this.#nextPeer++ % peers.length]!;
    this.#seeking = true;
    try {
      this.#notes.guest(await checkHoldable(this.#qmp!, await this.#holdable()));
      const guest = await describeGuest(this.#qmp!);
      const memory = await queryMainMemory(this.#qmp!);
      this.#vcpuThreads = await vcpuThreads(this.#qmp!);
      this.#ramBytes = guest.ramBytes;
      this.#dial(address, guest, memory);
    } catch (error) {
      this.#modules.explain(messageOf(error));
      this.#later();
    } finally {
      this.#seeking = false;
    }
  }

  async #holdable(): Promise<HoldableOptions> {
    const { config, proxy } = this.#modules;
    const { tap, taps = [{ tap }] } = await proxy.status();
    const heldTaps = taps.map(each => each.tap);
    return { allowUnheld: config.allowUnheld, heldTaps, colo: config.source === undefined };
  }

  #seekIn(delayMs: number): void {
    clearTimeout(this.#seekTimer);
    const restMs = this.#restUntilMs - this.#modules.clock.now();
    this.#seekTimer = setTimeout(() => void this.#seekOnce(), Math.max(delayMs, restMs));
  }

  #later(): void {
    this.#seekIn(SEEK_MS);
  }

  #dial(address: TcpAddress, guest: GuestDescription, memory: MainMemory): void {
    const { config, clock, explain, state, share } = this.#modules;
    const { vm, host, inFlight, detection } = config;
    const { generation, me, lastEpoch } = state();
    let refusal: string | undefined;
    const link: SenderSession = dialBackup(
      {
        vm,
        host,
        address,
        credentials: config.credentials,
        guest,
        generation,
        clock,
        mainBlock: memory.block,
        mainBytes: memory.bytes,
        epoch: Math.max(0, lastEpoch),
        sender: me.incarnation,
        checkpointsMax: inFlight.checkpointsMax,
        inFlightBytesMax: inFlight.bytesMax,
        beatMs: detection.beatMs,
        share,
      },
      {
        welcome: welcome => {
          if (!this.#wanted || state().name !== 'SOLO')
            return this.#dropLink('not wanted any more');
          this.#peer = { host: welcome.host, incarnation: welcome.receiver };
          this.#notes.admitted(welcome, guest.ramBytes);
          this.#watch = this.#watchPeer();
          void this.#protect(link, memory.block, welcome.packing === PACKING_FORM);
        },
        ack: epoch => this.#acknowledged(epoch),
        windowOpen: () => this.#protection?.windowOpen(),
        heard: now => this.#watch?.heard(now),
        refused: error => {
          refusal = error.message;
          if (error.code === 'CURLING_REPLICATION_UNPACK') this.#notes.packFailed = error.message;
        },
        bye: reason => {
          refusal = reason;
        },
        standby: word => {
          if (link === this.#link) this.#standbyIs(word);
        },
        closed: error => {
          if (link !== this.#link) return;
          this.#link = undefined;
          explain(saidOf(address, refusal ?? error?.message ?? 'closed'));
          this.#peerLost(error?.message ?? refusal ?? 'the connection to the backup closed');
        },
      },
    );
    this.#link = link;
  }

  /** The backup cannot run the guest, or can again: its own operator hears of it there, this host's here. */
  #standbyIs(word: StandbyWord): void {
    const { up, reason } = word;
    this.#notes.standbyIs(word);
    const { state, emit } = this.#modules;
    const { vm, me, generation } = state();
    const data = { vm, host: me.host, generation, backup: this.#peer?.host ?? '', reason };
    if (up) emit('STANDBY_READY', data);
    else emit('STANDBY_LOST', data);
  }

  #watchPeer(): Watch {
    const { clock, config } = this.#modules;
    return new Watch(clock, config.detection, silentMs => {
      this.#dropLink('the backup is silent');
      this.#peerLost(`the backup was silent for ${silentMs.toFixed(0)} ms`);
    });
  }

  /** @param unpacks Whether the backup takes packed pages. */
  async #protect(link: SenderSession, mainBlock: string, unpacks: boolean): Promise<void> {
    const { config, gate, clock, log, telemetry, sabotage, stopAt, state, dispatch } =
      this.#modules;
    const { generation, lastEpoch } = state();
    const epoch = Math.max(lastEpoch, this.#lastTaken) + 1;
    const protection = newProtection(
      config,
      {
        mainBlock,
        stagingBytesMax: stagingBound(config.stagingBytesMax, this.#ramBytes),
        generation: generation + 1,
        epoch,
        vcpuThreads: this.#vcpuThreads,
      },
      {
        qmp: this.#qmp!,
        gate,
        link,
        clock,
        log,
        telemetry,
        lz4:
          unpacks && config.pack !== 'never' && this.#notes.packFailed === undefined
            ? lz4
            : undefined,
        sabotage,
        stopAt,
        handlers: {
          snapshot: snapshot => dispatch({ type: 'protect-requested', snapshot }),
          guestLost: error => void this.#streamLost(protection, error),
          proxyLost: error =>
            this.#failures.say(
              'error',
              { code: error.code },
              `held output is lost: ${error.message}`,
            ),
          stagingFull: advice => this.#noteStagingFull(advice),
        },
      },
    );
    this.#protection = protection;
    if (!config.source) this.#watchCopy(protection, this.#qmp!);
    try {
      await protection.start();
      const wanted = awaited(config);
      if (wanted) this.#modules.explain(wanted);
    } catch (error) {
      this.#modules.explain(messageOf(error));
      if (this.#protection === protection) this.#peerLost(messageOf(error));
    }
  }

  /** Of the full copy that is under way; undefined without one. */
  get copyProgress(): CopyProgress | undefined {
    return this.#copyWatch?.progress;
  }

  #watchCopy(protection: ProtectionRun, qmp: QmpClient): void {
    const { config, telemetry, explain } = this.#modules;
    this.#copyWatch?.end();
    this.#copyWatch = new CopyWatch({
      qmp,
      throttleMax: config.copy.throttleMax,
      goesOn: () => this.#protection === protection && protection.phase === 'copying',
      told: (text, losing) => {
        explain(text);
        if (losing) this.#failures.say('warn', {}, text);
      },
      hopeless: ({ code, message }) => {
        this.#failures.say('error', { code }, message);
        telemetry.counters.copiesGivenUp++;
        this.#restUntilMs = this.#modules.clock.now() + HOPELESS_REST_MS;
        void this.#abandon(message);
      },
    });
  }

  #noteStagingFull(advice: StagingAdvice): void {
    const { change, text } = advice;
    this.#failures.say('warn', { change }, text);
    if (!this.#notes.stagingFull(advice)) return;
    const { state, emit } = this.#modules;
    const { vm, me, generation } = state();
    emit('STAGING_FULL', { vm, host: me.host, generation, change, reason: text });
  }

  #acknowledged(epoch: number): void {
    const { state, dispatch } = this.#modules;
    const { name, generation, snapshot } = state();
    if (!this.#peer) return;
    const covered = this.#protection?.committed(epoch) ?? epoch;
    if (name === 'SYNC' && epoch === snapshot) {
      this.#modules.stopAt('copy-acknowledged');
      dispatch({ type: 'full-acked', generation: generation + 1, epoch, from: this.#peer });
      return;
    }
    const pair = name === 'SRES' ? generation + 1 : generation;
    this.#protection?.pass('acknowledged');
    dispatch({
      type: 'ack',
      generation: pair,
      epoch: covered,
      incarnation: this.#peer.incarnation,
    });
    this.#protection?.pass('released');
  }

  /** The backup, or the way to it, is gone. */
  #peerLost(reason: string): void {
    this.#watch?.stop();
    const incarnation = this.#peer?.incarnation;
    const { state, dispatch } = this.#modules;
    if (state().name === 'SOLO') {
      if (this.#protection) void this.#abandon(reason);
      else this.#later();
      return;
    }
    dispatch({ type: 'suspect-peer', reason, ...(incarnation ? { incarnation } : {}) });
  }

  /** The full copy is given up while the machine still speaks freely. */
  async #abandon(reason: string): Promise<void> {
    this.#modules.explain(reason);
    await this.endProtection();
    this.#later();
  }

  /** QEMU's migration stream has ended: is it QEMU that has, or only the stream? */
  async #streamLost(protection: ProtectionRun, error: CurlingError): Promise<void> {
    const qmp = this.#qmp;
    if (!qmp || protection !== this.#protection) return;
    await monitorsEnd(qmp);
    if (qmp.closedBy || protection !== this.#protection) return;
    this.#modules.explain(error.message);
    const still = () => protection === this.#protection && !qmp.closedBy;
    if (!(await runsOn(protection)) && this.#modules.state().name === 'PROT' && still()) {
      this.#yieldHung(error);
      // Should QEMU come to it after all, this host asks for the grant too, and the register decides.
      await untilRunsOn(qmp, still);
    }
    if (!still()) return;
    this.#dropLink(error.message);
    this.#peerLost(error.message);
  }

  /**
   * A QEMU neither sends its checkpoint nor lets its guest run: the backup can run it. The guest here is not ended before
   * the backup has it; its output stays held.
   */
  #yieldHung(error: CurlingError): void {
    const reason = `QEMU hangs: ${error.message}, and the guest did not run on within ${RECOVER_MS} ms`;
    this.#failures.say('error', { code: error.code }, reason);
    this.#modules.explain(reason);
    this.yieldTo(reason);
  }

  #guestGone(qmp: QmpClient, error: CurlingError): void {
    if (qmp !== this.#qmp) return;
    const reason = `QEMU is gone: ${error.message}`;
    this.#link?.guestLost(reason);
    this.#modules.dispatch({ type: 'guest-lost', reason });
  }

  #dropLink(reason: string): void {
    this.#watch?.stop();
    this.#watch = undefined;
    const link = this.#link;
    this.#link = undefined;
    link?.bye(reason);
  }
}
