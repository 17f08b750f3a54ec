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
import { ColoSession } from '../../coordinator/qemu/colo-session.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { dialBackup } from '../../coordinator/replication/dial.ts';
import { BackupListener } from '../../coordinator/replication/listener.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import type { Welcome } from '../../coordinator/replication/types.ts';
import { buildImage } from '../../lab/image.ts';
import type { LabHost } from '../../lab/node.ts';
import { guestArguments, serialPathOf, TCG_SAFE_RAM_BYTES } from '../../lab/qemu.ts';

const VM = 'shadowed';
const GENERATION = 1;
const STEP_MS_MAX = 30_000;
/** Small, so that the guest's stream waits for it. */
const POOL_BYTES = 4 << 20;

export class Replica {
  readonly ramBytes = TCG_SAFE_RAM_BYTES;
  readonly #folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-replica-'));
  readonly #shm = fs.mkdtempSync('/dev/shm/curling-replica-');
  readonly staging: Staging;
  readonly store: Store;
  readonly #listener: BackupListener;
  #qemu: QemuChild | undefined;
  #qmp!: QmpClient;
  #session: ColoSession | undefined;
  readonly #choice: PackChoice;
  #link!: SenderSession;
  outlet!: Outlet;
  #epoch = 1;
  #acked = 0;
  #device: Buffer | undefined;
  #failed: Error | undefined;

  private constructor(choice: PackChoice) {
    this.#choice = choice;
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

  /** Boots a guest with these words for its workload, and connects the two ends. `remove` is needed even if it fails. */
  static async start(
    onMade: (replica: Replica) => void,
    workload: readonly string[],
    choice: PackChoice = new FixedChoice('plain'),
  ): Promise<Replica> {
    const replica = new Replica(choice);
    onMade(replica);
    await replica.#boot(workload);
    await replica.#connect();
    return replica;
  }

  /** The file of the guest's RAM, as QEMU itself has it mapped. */
  get ramPath(): string {
    return `${this.#shm}/ram`;
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

  async remove(): Promise<void> {
    await this.#qemu?.kill();
    this.#session?.end().catch(() => {});
    this.#qmp?.close();
    await this.#listener.close();
    await this.store.close();
    for (const folder of [this.#shm, this.#folder]) fs.rmSync(folder, { recursive: true });
  }

  async #boot(workload: readonly string[]): Promise<void> {
    const image = await buildImage();
    // Of a host only these two are asked for, and the tap's place is taken below.
    const host = { tap: 'none', runDir: this.#folder } as unknown as LabHost;
    const argv = guestArguments(host, { image, workload }).map(word =>
      word.startsWith('tap,') ? 'user,id=net0,restrict=on' : word,
    );
    const backend = `memory-backend-file,id=pc.ram,size=${this.ramBytes},mem-path=${this.ramPath},share=on`;
    const monitor = `${this.#folder}/qmp.sock`;
    const more = ['-object', backend, '-machine', 'memory-backend=pc.ram'];
    const qmp = ['-qmp', `unix:${monitor},server=on,wait=off`];
    const qemu = new QemuChild([...argv, ...more, ...qmp], `${this.#folder}/qemu.log`);
    this.#qemu = qemu;
    const serial = serialPathOf(host);
    const ready = async () => {
      if (qemu.exit) throw new Error(`QEMU ${qemu.exit}: ${qemu.said()}`);
      return (
        fs.existsSync(serial) && /^workload ready\r?$/m.test(fs.readFileSync(serial, 'latin1'))
      );
    };
    await untilHolds(ready, 'the boot of the guest', 120_000, 50);
    this.#qmp = await QmpClient.connect(monitor);
  }

  async #connect(): Promise<void> {
    await this.#listener.listen({ host: '127.0.0.1', port: 0 });
    const about = { vm: VM, host: 'a', guest: {}, mainBytes: this.ramBytes };
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
