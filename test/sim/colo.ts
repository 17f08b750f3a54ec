/** The coordinator's end of one COLO run, as coordinator/qemu/colo-session.ts drives it. Pages go into the real staging. */
import assert from 'node:assert/strict';
import type { Staging } from '../../coordinator/checkpoint/staging.ts';
import type { SentPage } from './guest.ts';
import { LOCAL_MS, type LocalConnection, type SimProcess } from './process.ts';
import type { ColoPeer, SimQemu } from './qemu.ts';

type State =
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

export interface ColoHandlers {
  layout(): void;
  firstPass(device: Buffer): void;
  request(): void;
  stopped(): void;
  staged(device: Buffer): void;
  closed(): void;
}

export class SimColo implements ColoPeer {
  readonly process: SimProcess;
  state: State = 'idle';
  readonly #qemu: SimQemu;
  readonly #staging: Staging;
  readonly #handlers: ColoHandlers;

  constructor(process: SimProcess, qemu: SimQemu, staging: Staging, handlers: ColoHandlers) {
    this.process = process;
    this.#qemu = qemu;
    this.#staging = staging;
    this.#handlers = handlers;
    qemu.process.onDeath(() => {
      process.loop.after(LOCAL_MS, () => process.read(() => this.failed()));
    });
  }

  get over(): boolean {
    return this.state === 'closed' || this.state === 'ended';
  }

  start(): void {
    this.#leave('idle', 'firstPass');
    this.#send(() => this.#qemu.beginColo(this));
  }

  ready(): void {
    this.#leave('copied', 'running');
    this.#send(() => this.#qemu.ready(this));
  }

  reply(): void {
    this.#leave('requested', 'replied');
    this.#send(() => this.#qemu.reply(this));
  }

  resume(): void {
    this.#leave('staged', 'running');
    this.#send(() => this.#qemu.loaded(this));
  }

  /** Ends it in any state; on return the guest runs without it, unless the monitor failed. */
  end(monitor: LocalConnection | undefined, done: (error: Error | null) => void): void {
    if (!this.over) this.#staging.discard();
    this.state = 'ended';
    if (monitor) monitor.call(() => this.#qemu.endColo(), done);
    else done(new Error('no monitor'));
  }

  layout(): void {
    this.#handlers.layout();
  }

  pages(pages: readonly SentPage[]): void {
    const { target } = this.#staging;
    for (const { block, page, bytes, fill } of pages) {
      if (bytes) {
        this.#staging.dataPage(block, page);
        bytes.copy(target.buffer, target.offset);
        this.#staging.pageDone();
      } else this.#staging.fillPage(block, page, fill);
    }
  }

  copied(device: Buffer): void {
    this.#staging.flush();
    this.#leave('firstPass', 'copied');
    this.#handlers.firstPass(device);
  }

  request(): void {
    this.#leave('running', 'requested');
    this.#handlers.request();
  }

  stopped(): void {
    this.#leave('replied', 'stopped');
    this.#handlers.stopped();
  }

  staged(device: Buffer): void {
    this.#staging.flush();
    this.#leave('stopped', 'staged');
    this.#handlers.staged(device);
  }

  failed(): void {
    if (this.over) return;
    this.#staging.discard();
    this.state = 'closed';
    this.#handlers.closed();
  }

  #leave(from: State, to: State): void {
    assert.equal(this.state, from, `only in state ${from}`);
    this.state = to;
  }

  #send(message: () => void): void {
    this.process.effect(() => {
      this.process.loop.after(LOCAL_MS, () => this.#qemu.process.read(message));
    });
  }
}
