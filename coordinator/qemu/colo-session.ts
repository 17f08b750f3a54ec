/**
 * One COLO run of one QEMU: the other end of its migration, on a unix socket. A thin shell around StreamDecoder.
 *
 *   state          QEMU                              what ends it
 *   idle           not asked yet                     start()      → firstPass
 *   firstPass      copies all RAM; guest runs        all of it has come and QEMU is in COLO
 *                                                                 → copied, handler firstPass
 *   copied         waits for READY; guest STOPPED    ready()      → running
 *   running        guest runs                        REQUEST      → requested, handler request
 *   requested      waits for REPLY; guest runs       reply()      → replied
 *   replied        is stopping the guest             SEND         → stopped, handler stopped
 *   stopped        sends a checkpoint; guest STOPPED last byte    → staged, handler staged
 *   staged         waits for LOADED; guest STOPPED   resume()     → running
 *   closed         unknown: end() sets it right      end()        → ended
 *   ended          runs the guest, without COLO
 *
 * Any failure leads to `closed`, once, with handler closed; end() is allowed in every state and leads to `ended` without it.
 * Handlers are called from within the socket's data event, and may call the method that their state allows at once:
 * nothing is awaited between QEMU's bytes and the handler, nor between the method and the bytes to QEMU.
 *
 * While QEMU owes bytes (firstPass, running, replied, stopped) and sends none for `stallMs`, the session fails: a guest
 * must not stay stopped, nor its output held, because of a QEMU that hangs. See StallWatch for a QEMU that is only slow.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { asCurlingError, CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { QmpEvent } from '../../common/qmp/messages.ts';
import { type Reading, readInto } from '../../common/wire/read-into.ts';
import type { GuestLayout } from '../checkpoint/layout.ts';
import type { Staging } from '../checkpoint/staging.ts';
import {
  type ColoParameters,
  coloBroken,
  endColo,
  endThrottle,
  prepareColo,
  queryMigrationEnd,
} from './colo-migration.ts';
import { StallWatch, TICKS } from './stall-watch.ts';
import { StreamDecoder, type StreamDecoderOptions } from './stream-decoder.ts';
import { COLO } from './stream-format.ts';

export type ColoState =
  | 'idle'
  | 'firstPass'
  | 'copied'
  | 'running'
  | 'requested'
  | 'replied'
  | 'stopped'
  | 'staged'
  | 'closed'
  | 'ended';

/** What the session tells, in the order of the stream. */
export interface ColoHandlers {
  /** Before the first chunk of the first pass. */
  layout(layout: GuestLayout): void;
  /** The full copy is staged; the guest is stopped until ready(). */
  firstPass(device: Buffer): void;
  /** A checkpoint begins when reply() is called; the guest runs. */
  request(): void;
  /** The guest is stopped; its checkpoint is being read. */
  stopped(): void;
  /** The checkpoint is staged, its last chunk handed over; the guest is stopped until resume(). */
  staged(device: Buffer): void;
  /** The session is over and its unfinished checkpoint must be discarded. The guest may be stopped: call end(). */
  closed(error: CurlingError): void;
}

export interface ColoSessionOptions extends Partial<ColoParameters>, StreamDecoderOptions {
  qmp: QmpClient;
  /** Where QEMU is to connect; its folder is made (0700) when it is missing. At most 107 bytes. */
  socketPath: string;
  staging: Staging;
  handlers: ColoHandlers;
  /** Milliseconds without a byte where QEMU owes some, at least; ten times as long in the first pass. Default 1,000. */
  stallMs?: number;
}

const DEFAULTS: ColoParameters & { stallMs: number } = {
  checkpointDelayMs: 5,
  maxBandwidth: 10 ** 11,
  downtimeLimitMs: 300,
  throttleMax: 0,
  stallMs: 1_000,
};
/** What one read has is staged even when there is no room: 16 pages, or 7,000 of one byte throughout. */
const READ_BYTES = 64 << 10;
const OVER: ReadonlySet<unknown> = new Set(['completed', 'failed', 'cancelled']);
const NO_ANSWER = { status: '', reason: '' };
const QEMU_OWES: ReadonlySet<ColoState> = new Set(['firstPass', 'running', 'replied', 'stopped']);

const READY = message(COLO.ready);
const REPLY = message(COLO.reply);
const RECEIVED_LOADED = Buffer.concat([message(COLO.received), message(COLO.loaded)]);

export class ColoSession {
  readonly #options: ColoSessionOptions & typeof DEFAULTS;
  readonly #decoder: StreamDecoder;
  readonly #server: net.Server;
  #state: ColoState = 'idle';
  #socket: net.Socket | undefined;
  /** How the socket is read, and whether that waits for the staging. */
  #reading: Pick<Reading, 'pause' | 'resume'> | undefined;
  #paused = false;
  /** QEMU has said that it is in COLO; before that the first pass cannot be believed to be over. */
  #inColo = false;
  #firstPassDevice: Buffer | undefined;
  readonly #stall = new StallWatch();
  #heard = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: ColoSessionOptions) {
    this.#options = { ...DEFAULTS, ...options };
    const { checkpointDelayMs } = this.#options;
    assert(checkpointDelayMs >= 1, 'checkpointDelayMs 0 makes QEMU spin');
    const { staging, handlers } = options;
    this.#decoder = new StreamDecoder(
      staging,
      {
        layout: layout => handlers.layout(layout),
        firstPass: device => this.#firstPassRead(device),
        request: () => this.#enter('running', 'requested', () => handlers.request()),
        stopped: () => this.#enter('replied', 'stopped', () => handlers.stopped()),
        checkpoint: device => {
          staging.flush();
          this.#enter('stopped', 'staged', () => handlers.staged(device));
        },
      },
      options,
    );
    this.#server = net.createServer(socket => this.#accept(socket));
  }

  get state(): ColoState {
    return this.#state;
  }

  /**
   * Sets QEMU up and begins the first pass; returns when QEMU has accepted. Handlers may be called before that.
   * @throws CurlingError CURLING_QEMU_COLO, CURLING_CONNECT when the socket cannot be made, and as QmpClient.execute.
   *   Handler closed may have been called as well; end() is still needed.
   */
  async start(): Promise<void> {
    const { qmp, socketPath } = this.#options;
    this.#leave('idle', 'firstPass');
    try {
      await prepareColo(qmp, this.#options);
      await this.#listen(socketPath);
      if (this.#isOver) throw new CurlingError('CURLING_STATE', 'ended while it was starting');
      qmp.on('event', this.#onEvent);
      qmp.on('close', this.#onQmpClose);
      this.#watch = setInterval(() => this.#checkStall(), this.#options.stallMs / TICKS).unref();
      await qmp.execute('migrate', { uri: `unix:${socketPath}` });
    } catch (error) {
      this.#shut(this.#state === 'ended' ? 'ended' : 'closed');
      throw asCurlingError(error);
    }
  }

  /** Ends the stop at the end of the first pass. Only in `copied`. */
  ready(): void {
    this.#leave('copied', 'running');
    this.#socket!.write(READY);
  }

  /** Lets the checkpoint begin: the guest will be stopped. Only in `requested`. */
  reply(): void {
    this.#leave('requested', 'replied');
    this.#socket!.write(REPLY);
  }

  /** Lets the guest run on. Only in `staged`. */
  resume(): void {
    this.#leave('staged', 'running');
    this.#socket!.write(RECEIVED_LOADED);
  }

  /**
   * Ends protection, in any state, and returns when the guest runs without it and could be protected again.
   * @throws CurlingError as endColo; the guest may be stopped then
   */
  async end(timeoutMs?: number): Promise<void> {
    if (this.#state === 'ended') return;
    const { qmp } = this.#options;
    this.#quiesce('ended');
    try {
      await endColo(qmp, timeoutMs);
    } finally {
      this.#shut('ended');
    }
  }

  async #listen(socketPath: string): Promise<void> {
    try {
      fs.mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o700 });
      fs.rmSync(socketPath, { force: true });
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ path: socketPath }, resolve);
      });
      fs.chmodSync(socketPath, 0o600);
    } catch (error) {
      const text = `cannot listen on ${socketPath}: ${error instanceof Error ? error.message : error}`;
      throw new CurlingError('CURLING_CONNECT', text, { cause: error });
    }
  }

  #accept(socket: net.Socket): void {
    this.#server.close();
    if (this.#socket || this.#isOver) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#read(socket);
    let why = 'it closed the migration socket';
    socket.on('error', error => {
      why = `its migration socket: ${error.message}`;
    });
    socket.on('close', () => void this.#migrationOver(why));
  }

  /** Into the same memory again and again, if this Node can: each byte is copied once, to where it is staged. */
  #read(socket: net.Socket): void {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const filled = (bytes: number) => this.#receive(buffer.subarray(0, bytes));
    this.#reading = readInto(socket, { space: () => buffer, filled });
    if (this.#reading) return;
    this.#reading = socket;
    socket.on('data', chunk => this.#receive(chunk));
  }

  #receive(chunk: Buffer): void {
    this.#heard = true;
    if (this.#isOver) return;
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
      this.#fail(error);
      return;
    }
    const { staging } = this.#options;
    const pagesFollow = this.#state === 'firstPass' || this.#state === 'stopped';
    if (!pagesFollow || !staging.starved) return;
    this.#reading!.pause();
    this.#paused = true;
    staging.whenFree(() => {
      this.#paused = false;
      this.#reading!.resume();
    });
  }

  #firstPassRead(device: Buffer): void {
    this.#firstPassDevice = device;
    this.#tryCopied();
  }

  /** The stream's end and QEMU's word for it come on two sockets, in either order. */
  #tryCopied(): void {
    const device = this.#firstPassDevice;
    if (!this.#inColo || !device || this.#state !== 'firstPass') return;
    this.#firstPassDevice = undefined;
    // A QEMU that cannot be told is lost, which is seen elsewhere.
    if (this.#options.throttleMax > 0) endThrottle(this.#options.qmp).catch(() => {});
    this.#options.staging.flush();
    this.#enter('firstPass', 'copied', () => this.#options.handlers.firstPass(device));
  }

  readonly #onEvent = ({ event, data }: QmpEvent): void => {
    if (event !== 'MIGRATION' || this.#isOver) return;
    if (data.status === 'colo') {
      this.#inColo = true;
      this.#tryCopied();
    } else if (OVER.has(data.status)) {
      void this.#migrationOver(`its migration is ${data.status}`);
    }
  };

  readonly #onQmpClose = (error: CurlingError): void => this.#fail(error);

  /** The migration has ended by itself: QEMU says why, unless it is gone. */
  async #migrationOver(what: string): Promise<void> {
    if (this.#isOver) return;
    const { qmp, handlers } = this.#options;
    this.#shut('closed');
    const { status, reason } = await queryMigrationEnd(qmp).catch(() => NO_ANSWER);
    // end() may have been called meanwhile.
    if (this.#state !== 'closed') return;
    handlers.closed(
      status === 'completed' && !this.#inColo
        ? coloBroken('the migration completed where it should have become COLO')
        : new CurlingError('CURLING_QEMU_LOST', `lost QEMU: ${what}${reason && `: ${reason}`}`),
    );
  }

  #checkStall(): void {
    const patient = this.#state === 'firstPass';
    const stalled = this.#stall.tick(this.#owes, this.#heard, patient);
    this.#heard = false;
    if (!stalled) return;
    // What came while this process was busy is read before it is judged.
    setImmediate(() => {
      if (this.#heard || !this.#owes) return;
      const hint =
        this.#state === 'firstPass' && this.#inColo
          ? "; the description of its device state is missing (the machine's suppress-vmdesc?)"
          : '';
      const silentMs = (this.#options.stallMs / TICKS) * this.#stall.limit(patient);
      const text = `QEMU sent nothing for ${silentMs} ms in state ${this.#state}`;
      this.#fail(new CurlingError('CURLING_TIMEOUT', text + hint));
    });
  }

  get #owes(): boolean {
    return QEMU_OWES.has(this.#state) && !this.#paused;
  }

  /** A step that QEMU takes; out of turn it is QEMU's error. */
  #enter(from: ColoState, to: ColoState, handler: () => void): void {
    if (this.#state !== from) {
      const text = `expected QEMU to wait in state ${this.#state}, got what leads to ${to}`;
      throw new CurlingError('CURLING_QEMU_STREAM', text);
    }
    this.#state = to;
    handler();
  }

  /** A step that the caller takes; out of turn it is a programmer's error. */
  #leave(from: ColoState, to: ColoState): void {
    assert.equal(this.#state, from, `only in state ${from}`);
    this.#state = to;
    this.#heard = true;
  }

  get #isOver(): boolean {
    return this.#state === 'closed' || this.#state === 'ended';
  }

  #fail(error: CurlingError): void {
    if (this.#isOver) return;
    this.#shut('closed');
    this.#options.handlers.closed(error);
  }

  /** No event of QEMU counts any more. */
  #quiesce(state: 'closed' | 'ended'): void {
    if (!this.#isOver) this.#options.staging.discard();
    this.#state = state;
    clearInterval(this.#watch);
    this.#options.qmp.off('event', this.#onEvent);
    this.#options.qmp.off('close', this.#onQmpClose);
  }

  #shut(state: 'closed' | 'ended'): void {
    this.#quiesce(state);
    this.#socket?.destroy();
    this.#server.close();
  }
}

function message(code: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(code);
  return bytes;
}
