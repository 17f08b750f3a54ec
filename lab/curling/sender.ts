/**
 * Stands in for a QEMU with the patches of Curling, of which none can be had: drives a real COLO migration of a guest with
 * an old machine type, and sends its checkpoints in Curling's form to a TCP port, live. As the patches do, it takes
 * checkpoints without end and without hearing any answer: the head of a checkpoint leaves as soon as the one before is
 * over, the guest runs on for a while, is stopped, and its last pages and device state follow.
 */
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { QmpEvent } from '../../common/qmp/messages.ts';
import { endColo, prepareColo } from '../../coordinator/qemu/colo-migration.ts';
import { COLO } from '../../coordinator/qemu/stream-format.ts';
import { OldStream } from './old-stream.ts';

/** QEMU sends all of its first pass at once; what has not come after this long will not come before READY. */
const QUIET_MS = 150;

export interface CurlingSenderOptions {
  /** A monitor of the guest's QEMU for this sender alone. */
  qmp: QmpClient;
  /** Where QEMU is to connect to. */
  socketPath: string;
  /** Where Curling's stream is wanted. */
  host: string;
  port: number;
  /** For how long the guest runs between a checkpoint's head and its stop. Milliseconds, default 20. */
  intervalMs?: number;
  /** The checkpoint, from 0, in whose device state the connection is cut; the guest stays stopped. Default none. */
  cutIn?: number;
  /** The guest is stopped with the state of this checkpoint, nothing of whose device state was sent. */
  stopped?(checkpoint: number): Promise<void> | void;
}

export class CurlingSender {
  readonly #options: CurlingSenderOptions;
  readonly #stream: OldStream;
  #colo!: net.Socket;
  #out!: net.Socket;
  #server: net.Server | undefined;
  #checkpoint = 0;
  #heardAt = 0;
  #over!: (error?: Error) => void;
  #isOver = false;
  /** Resolves when the connection was cut or `end` was called, rejects when anything fails. */
  readonly over = new Promise<void>((resolve, reject) => {
    this.#over = error => {
      this.#isOver = true;
      if (error) reject(error);
      else resolve();
    };
  });

  constructor(options: CurlingSenderOptions) {
    this.#options = options;
    this.over.catch(() => {});
    this.#stream = new OldStream({
      write: bytes => this.#write(bytes),
      copied: () => {},
      request: () => void this.#take(),
      staged: device => void this.#finish(device).catch(error => this.#over(error)),
    });
  }

  /** Checkpoints that were sent whole. */
  get sent(): number {
    return this.#checkpoint;
  }

  /** Connects, and begins the first pass. */
  async start(): Promise<void> {
    const { qmp, socketPath, host, port } = this.#options;
    this.#out = net.connect({ host, port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      this.#out.once('connect', resolve).once('error', reject);
    });
    this.#out.on('error', error => this.#over(error));
    this.#out.on('close', () => this.#over(new Error('the receiver closed the connection')));
    this.#out.resume();
    await prepareColo(qmp, {
      checkpointDelayMs: 5,
      maxBandwidth: 10 ** 11,
      downtimeLimitMs: 300,
      throttleMax: 0,
    });
    fs.rmSync(socketPath, { force: true });
    this.#server = net.createServer(socket => this.#accept(socket));
    await new Promise<void>(resolve => void this.#server!.listen({ path: socketPath }, resolve));
    qmp.on('event', this.#onEvent);
    await qmp.execute('migrate', { uri: `unix:${socketPath}` });
  }

  /** Ends it; the guest runs on without it. */
  async end(): Promise<void> {
    this.#over();
    this.#shut();
    await endColo(this.#options.qmp);
  }

  #shut(): void {
    this.#options.qmp.off('event', this.#onEvent);
    this.#out.destroy();
    this.#colo?.destroy();
    this.#server?.close();
  }

  #accept(socket: net.Socket): void {
    this.#colo = socket;
    socket.on('data', chunk => {
      this.#heardAt = performance.now();
      try {
        this.#stream.push(chunk);
      } catch (error) {
        this.#over(error as Error);
        socket.destroy();
      }
    });
    socket.on('error', error => this.#over(error));
  }

  readonly #onEvent = ({ event, data }: QmpEvent): void => {
    if (event === 'MIGRATION' && data.status === 'colo') void this.#ready();
    else if (event === 'MIGRATION' && ['failed', 'completed'].includes(String(data.status)))
      this.#over(new Error(`the migration is ${data.status}`));
  };

  async #ready(): Promise<void> {
    while (performance.now() - this.#heardAt < QUIET_MS) await sleep(20);
    this.#stream.waits();
    this.#tell(COLO.ready);
  }

  async #take(): Promise<void> {
    // The RAM of the first pass is the beginning of the first checkpoint.
    if (this.#checkpoint > 0) await sleep(this.#options.intervalMs ?? 20);
    if (!this.#isOver) this.#tell(COLO.reply);
  }

  async #finish(device: Buffer): Promise<void> {
    await this.#options.stopped?.(this.#checkpoint);
    const end = OldStream.end(device);
    if (this.#checkpoint === this.#options.cutIn) {
      await this.#flushed(end.subarray(0, end.length >> 1));
      this.#over();
      return this.#shut();
    }
    await this.#flushed(end);
    if (this.#isOver) return;
    this.#checkpoint++;
    this.#tell(COLO.received, COLO.loaded);
    this.#stream.begin();
  }

  /** The guest does not run on before the kernel has all of its checkpoint. */
  #flushed(bytes: Buffer): Promise<void> {
    return new Promise(resolve => void this.#out.write(bytes, () => resolve()));
  }

  #write(bytes: Buffer): void {
    if (this.#out.destroyed || this.#out.write(bytes)) return;
    this.#colo.pause();
    this.#out.once('drain', () => this.#colo.resume());
  }

  #tell(...codes: number[]): void {
    const bytes = Buffer.alloc(4 * codes.length);
    codes.forEach((code, index) => void bytes.writeUInt32BE(code, 4 * index));
    this.#colo.write(bytes);
  }
}
