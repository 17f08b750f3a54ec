/**
 * Both ends of a protection in one process, around a real guest: its QEMU, a COLO session and a sender on one side, a
 * listener and a store on the other, TCP on loopback between them. Nothing decides here: one step after the other is asked
 * for, so that the guest's RAM can be looked at while it is stopped.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../common/clock.ts';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { readBootId, Store } from '../../coordinator/checkpoint/store.ts';
import { FixedChoice, type PackChoice } from '../../coordinator/packing/choice.ts';
import { PACKING_FORM } from '../../coordinator/packing/format.ts';
import { lz4 } from '../../coordinator/packing/lz4.ts';
import { Outlet } from '../../coordinator/packing/outlet.ts';
import { QemuChild } from '../../coordinator/qemu/child.ts';
import type { ColoParameters } from '../../coordinator/qemu/colo-migration.ts';
import { ColoSession } from '../../coordinator/qemu/colo-session.ts';
import { type MainMemory, queryMainMemory } from '../../coordinator/qemu/main-memory.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { dialBackup } from '../../coordinator/replication/dial.ts';
import { BackupListener } from '../../coordinator/replication/listener.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import type { Welcome } from '../../coordinator/replication/types.ts';
import { resumeStream } from '../../coordinator/trial.ts';
import { buildImage } from '../../lab/image.ts';
import type { LabHost } from '../../lab/node.ts';
import {
  type GuestOptions,
  guestArguments,
  serialPathOf,
  TCG_SAFE_RAM_BYTES,
} from '../../lab/qemu.ts';
import { Protection } from '../qemu/protection.ts';
import { memoryOf, readMemory } from './guest-memory.ts';

const VM = 'shadowed';
const GENERATION = 1;
const STEP_MS_MAX = 30_000;
const BOOT_MS_MAX = 60_000;
/** Small, so that the guest's stream waits for it. */
const POOL_BYTES = 4 << 20;

export interface ReplicaOptions extends Omit<GuestOptions, 'image'> {
  /** A command that QEMU's is appended to. */
  under?: readonly string[];
  /** Of its COLO session. */
  colo?: Partial<ColoParameters>;
  /** How pages travel. Default as they are. */
  choice?: PackChoice;
}

export class Replica {
  readonly ramBytes: number;
  readonly #options: ReplicaOptions;
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-replica-'));
  readonly #shm = fs.mkdtempSync('/dev/shm/curling-replica-');
  readonly staging: Staging;
  readonly store: Store;
  readonly #listener: BackupListener;
  #qemu: QemuChild | undefined;
  #qmp!: QmpClient;
  #standby: Standby | undefined;
  #session: ColoSession | undefined;
  readonly #choice: PackChoice;
  #main!: MainMemory;
  #mainPath!: string;
  #link!: SenderSession;
  outlet!: Outlet;
  #epoch = 1;
  #acked = 0;
  #device: Buffer | undefined;
  #failed: Error | undefined;

  private constructor({ choice = new FixedChoice('plain'), ...options }: ReplicaOptions) {
    this.#choice = choice;
    this.#options = options;
    this.ramBytes = options.ramBytes ?? TCG_SAFE_RAM_BYTES;
    this.store = Store.create({ directory: `${this.#shm}/store`, vm: VM, bootId: readBootId() });
    this.staging = new Staging({
      poolBytes: POOL_BYTES,
      onChunk: chunk => this.outlet.chunk(chunk, () => this.staging.recycle(chunk)),
    });
    const ignore = () => {};
    const handlers = { full: ignore, heard: ignore, guestLost: ignore, bye: ignore };
    this.#listener = new BackupListener(
      { vm: VM, host: 'b', incarnation: () => 'b'.repeat(32), sink: () => this.store },
      {
        ...handlers,
        hello: async () => {},
        committed: epoch => this.#listener.session!.ack(epoch),
        closed: error => this.#fail(error ?? new Error('the sender said goodbye')),
      },
    );
  }

  /** Boots a guest, and connects the two ends. `remove` is needed even if it fails. */
  static async start(
    onMade: (replica: Replica) => void,
    options: ReplicaOptions,
  ): Promise<Replica> {
    const replica = new Replica(options);
    onMade(replica);
    await replica.#boot();
    replica.#main = await queryMainMemory(replica.#qmp);
    replica.#mainPath = await replica.store.prepare(replica.#main.block, replica.#main.bytes);
    await replica.#connect();
    return replica;
  }

  get qmp(): QmpClient {
    return this.#qmp;
  }

  /** Of the guest's main memory. */
  get block(): string {
    return this.#main.block;
  }

  /** The guest's RAM, as QEMU itself has it mapped, read into `into`. */
  readRam(into: Buffer): Buffer {
    return readMemory(memoryOf(this.#qemu!.pid!, this.ramBytes), into);
  }

  /** The guest's RAM as the backup has it, read into `into`. */
  readShadow(into: Buffer): Buffer {
    return readMemory({ path: this.#mainPath, offset: 0 }, into);
  }

  /** Takes the full copy; returns its epoch, with the guest stopped behind it. */
  async fullCopy(): Promise<number> {
    this.#session = this.#newSession();
    await this.#session.start();
    return this.#untilStopped('copied');
  }

  /** Takes the next checkpoint; returns its epoch, with the guest stopped behind it. */
  async checkpoint(): Promise<number> {
    await this.#until('a request of QEMU', () => this.#session!.state === 'requested');
    this.outlet.beginCheckpoint(++this.#epoch);
    this.#session!.reply();
    return this.#untilStopped('staged');
  }

  /** Lets the guest run on, and returns when its checkpoint is acknowledged. */
  async commit(): Promise<void> {
    const session = this.#session!;
    if (session.state === 'copied') session.ready();
    else session.resume();
    this.outlet.device(this.#device!);
    this.outlet.commit();
    await this.#until(`the acknowledgement of ${this.#epoch}`, () => this.#acked === this.#epoch);
  }

  /** What lies in the guest's physical memory at `address`: of ROMs too, which are in no file. */
  async physical(address: number, bytes: number): Promise<Buffer> {
    const file = `${this.#folder}/physical`;
    await this.#qmp.execute('pmemsave', { val: address, size: bytes, filename: file });
    return fs.readFileSync(file);
  }

  /**
   * Ends the guest and lets it run on from its last committed checkpoint in a standby, on the shadow itself; returns the
   * standby, and a protection of it.
   */
  async failOver(): Promise<{ standby: Standby; protection: Protection }> {
    const committed = this.store.finalize();
    await this.#qemu!.kill();
    const { block, bytes } = this.#main;
    const standby = await Standby.start({
      argv: await this.#argv(),
      memory: { mainBlock: block, ramBytes: bytes, shadowPath: this.#mainPath },
      qmpPath: `${this.#folder}/standby.sock`,
      incomingPath: `${this.#folder}/incoming.sock`,
      logPath: `${this.#folder}/standby.log`,
    });
    this.#standby = standby;
    await standby.resume(resumeStream(committed));
    return { standby, protection: new Protection(standby.qmp, `${this.#folder}/again.sock`) };
  }

  /** All that the guest has said on its console. */
  get console(): string {
    const file = serialPathOf(this.#host);
    return fs.existsSync(file) ? fs.readFileSync(file, 'latin1') : '';
  }

  async remove(): Promise<void> {
    await this.#qemu?.kill();
    await this.#standby?.kill();
    this.#session?.end().catch(() => {});
    this.#qmp?.close();
    await this.#listener.close();
    await this.store.close();
    for (const folder of [this.#shm, this.#folder]) fs.rmSync(folder, { recursive: true });
  }

  /** Of a host only these are asked for, and the taps' place is taken by networks that lead nowhere. */
  get #host(): LabHost {
    return { tap: 'none', taps: ['none'], runDir: this.#folder } as unknown as LabHost;
  }

  async #argv(): Promise<string[]> {
    const { under = [], colo: _, ...guest } = this.#options;
    const image = await buildImage({ flavour: guest.card === 'e1000' ? 'generic' : 'cloud' });
    const argv = guestArguments(this.#host, { image, ...guest });
    const inside = argv.map(word => word.replace(/^tap,id=(\w+),.*/, 'user,id=$1,restrict=on'));
    return [...under, ...inside];
  }

  /**
   * Boots the guest, and once more if it hangs: under TCG one with 4 processors has, in one boot of some fifty, before
   * anything of curling had touched it. What it said last is printed then.
   */
  async #boot(): Promise<void> {
    const monitor = `${this.#folder}/qmp.sock`;
    try {
      await this.#bootOnce(monitor);
    } catch (error) {
      if (!(error instanceof CurlingError) || error.code !== 'CURLING_TIMEOUT') throw error;
      process.stderr.write(
        `the guest hangs in its boot, and is booted again: ${this.console.slice(-2_000)}\n`,
      );
      await this.#qemu!.kill();
      await this.#bootOnce(monitor);
    }
    this.#qmp = await QmpClient.connect(monitor);
  }

  async #bootOnce(monitor: string): Promise<void> {
    const qmp = ['-qmp', `unix:${monitor},server=on,wait=off`];
    const qemu = new QemuChild([...(await this.#argv()), ...qmp], `${this.#folder}/qemu.log`);
    this.#qemu = qemu;
    const ready = async () => {
      if (qemu.exit) throw new Error(`QEMU ${qemu.exit}: ${qemu.said()}`);
      return /^workload ready\r?$/m.test(this.console);
    };
    await untilHolds(ready, 'the boot of the guest', BOOT_MS_MAX, 50);
  }

  async #connect(): Promise<void> {
    await this.#listener.listen({ host: '127.0.0.1', port: 0 });
    const { block, bytes } = this.#main;
    const about = { vm: VM, host: 'a', guest: {}, mainBlock: block, mainBytes: bytes };
    const life = { generation: 0, epoch: 0, sender: 'a'.repeat(32) };
    let welcome: Welcome | undefined;
    const address = { host: '127.0.0.1', port: this.#listener.port };
    this.#link = dialBackup(
      { ...about, ...life, address, inFlightBytesMax: 1 << 30 },
      {
        welcome: said => {
          welcome = said;
        },
        ack: epoch => {
          this.#acked = epoch;
        },
        windowOpen: () => {},
        heard: () => {},
        refused: error => this.#fail(error),
        bye: reason => this.#fail(new Error(reason)),
        closed: error => this.#fail(error ?? new Error('the backup said goodbye')),
      },
    );
    await this.#until('a welcome', () => welcome !== undefined);
    if (welcome!.packing !== PACKING_FORM) throw new Error('the backup takes packed pages');
    this.outlet = new Outlet({
      link: this.#link,
      clock: monotonicClock,
      lz4,
      choice: this.#choice,
      windowOpen: () => {},
    });
  }

  #newSession(): ColoSession {
    return new ColoSession({
      qmp: this.#qmp,
      socketPath: `${this.#folder}/migrate.sock`,
      staging: this.staging,
      mainBlockName: this.#main.block,
      ...this.#options.colo,
      handlers: {
        layout: layout => this.outlet.beginFull(GENERATION, this.#epoch, layout),
        firstPass: device => {
          this.#device = device;
        },
        request: () => {},
        stopped: () => {},
        staged: device => {
          this.#device = device;
        },
        closed: error => this.#fail(error),
      },
    });
  }

  async #untilStopped(state: 'copied' | 'staged'): Promise<number> {
    await this.#until(`state ${state}`, () => this.#session!.state === state);
    return this.#epoch;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const deadline = performance.now() + STEP_MS_MAX;
    while (!holds()) {
      if (this.#failed) throw this.#failed;
      if (performance.now() > deadline)
        throw new CurlingError('CURLING_TIMEOUT', `${what}: not within ${STEP_MS_MAX} ms`);
      await sleep(1);
    }
  }
}
