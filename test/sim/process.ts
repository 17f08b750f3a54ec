/**
 * One life of one process. It can be stopped for a while in the middle of whatever it does, as by SIGSTOP, and it can be
 * killed there: what it does to the world goes through `effect`, which waits while the process is stopped and does
 * nothing once it is dead. So a handler that is struck in its middle runs on here, but nobody sees it before its time.
 *
 * A process that wakes up finishes what it was doing, runs its overdue timers, and only then reads its sockets.
 */
import { CurlingError } from '../../common/errors.ts';
import type { Loop } from './loop.ts';

/** A timer that can be cleared. */
export interface SimTimer {
  cleared: boolean;
}

export class SimProcess {
  readonly name: string;
  readonly loop: Loop;
  alive = true;
  paused = false;
  #waking = false;
  readonly #effects: (() => void)[] = [];
  readonly #overdue: (() => void)[] = [];
  readonly #unread: (() => void)[] = [];
  readonly #mourners: (() => void)[] = [];

  constructor(loop: Loop, name: string) {
    this.loop = loop;
    this.name = name;
  }

  /** Does something that others can notice. */
  effect(act: () => void): void {
    if (!this.alive) return;
    if (this.paused) this.#effects.push(act);
    else act();
  }

  /** Something arrived for this process. */
  read(take: () => void): void {
    if (!this.alive) return;
    if (this.paused || this.#waking) this.#unread.push(take);
    else take();
  }

  timer(delayMs: number, run: () => void): SimTimer {
    const timer = { cleared: false };
    const due = () => {
      if (!timer.cleared) run();
    };
    this.effect(() => {
      this.loop.after(delayMs, () => {
        if (timer.cleared || !this.alive) return;
        if (this.paused || this.#waking) this.#overdue.push(due);
        else run();
      });
    });
    return timer;
  }

  clear(timer: SimTimer | undefined): void {
    if (timer) timer.cleared = true;
  }

  pause(): void {
    if (this.alive) this.paused = true;
  }

  resume(): void {
    if (!this.alive || !this.paused || this.#waking) return;
    this.paused = false;
    this.#waking = true;
    while (this.alive && !this.paused) {
      const next = this.#effects.shift() ?? this.#overdue.shift() ?? this.#unread.shift();
      if (!next) break;
      next();
    }
    this.#waking = false;
  }

  /** Ends it; its sockets are closed by the kernel. */
  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.paused = false;
    for (const mourn of this.#mourners.splice(0)) mourn();
  }

  /** Calls `mourn` when the process dies; at once when it is dead. */
  onDeath(mourn: () => void): void {
    if (this.alive) this.#mourners.push(mourn);
    else mourn();
  }
}

/** How long a message between two processes of one host takes. */
export const LOCAL_MS = 0.05;

export type Answer<T> = (error: Error | null, value?: T) => void;

/** One connection between two processes of a host, such as a monitor: commands are carried out and answered in order. */
export class LocalConnection {
  readonly #from: SimProcess;
  readonly #to: SimProcess;
  open = true;
  readonly #pending = new Set<(error: Error) => void>();
  readonly #onClose: () => void;

  /** @param onClose The other end is gone; not called after `close`. */
  constructor(from: SimProcess, to: SimProcess, onClose: () => void) {
    this.#from = from;
    this.#to = to;
    this.#onClose = onClose;
    to.onDeath(() => {
      from.loop.after(LOCAL_MS, () => from.read(() => this.#lost()));
    });
  }

  /** Has `command` carried out at the other end. After `timeoutMs` the connection is closed; it may still be done. */
  call<T>(command: () => T, answer: Answer<T>, timeoutMs?: number): void {
    const { loop } = this.#from;
    let timer: SimTimer | undefined;
    const settle = (error: Error | null, value?: T) => {
      if (!this.#pending.delete(fail)) return;
      this.#from.clear(timer);
      answer(error, value);
    };
    const fail = (error: Error) => settle(error);
    this.#pending.add(fail);
    if (!this.open) {
      this.#from.read(() => fail(new Error('the connection is closed')));
      return;
    }
    this.#from.effect(() =>
      loop.after(LOCAL_MS, () => this.#to.read(() => this.#carryOut(command, settle))),
    );
    if (timeoutMs !== undefined) {
      timer = this.#from.timer(timeoutMs, () => {
        if (!this.#pending.has(fail)) return;
        settle(new Error('no answer in time'));
        this.#lost();
      });
    }
  }

  /** Tells the near end something, unasked. */
  tell(event: () => void): void {
    this.#to.effect(() => {
      this.#to.loop.after(LOCAL_MS, () =>
        this.#from.read(() => {
          if (this.open) event();
        }),
      );
    });
  }

  close(): void {
    this.open = false;
    for (const fail of [...this.#pending]) fail(new Error('the connection is closed'));
  }

  #lost(): void {
    if (!this.open) return;
    this.close();
    this.#onClose();
  }

  #carryOut<T>(command: () => T, settle: Answer<T>): void {
    let failure: Error | null = null;
    let value: T | undefined;
    try {
      value = command();
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
      failure = error;
    }
    this.#to.effect(() => {
      this.#to.loop.after(LOCAL_MS, () => this.#from.read(() => settle(failure, value)));
    });
  }
}
