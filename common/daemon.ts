/**
 * The frame of every daemon: a log, the service manager, HTTP, and signals besides SIGTERM. What the daemon does is not
 * known here.
 */
import { asCurlingError, messageOf } from './errors.ts';
import type { HttpAddress } from './http/address.ts';
import { type HttpRouter, type HttpRoutes, HttpService } from './http/service.ts';
import { createLogger, type Logger } from './log.ts';
import { Notifier } from './systemd/notify.ts';
import { feedWatchdog, type Progress } from './systemd/watchdog.ts';

/** Between two looks at the line for `systemctl status`. */
const STATUS_MS = 1_000;

export interface DaemonSettings {
  program: string;
  logLevel: string;
  /** Further members of every line of the log. */
  log?: Record<string, string>;
}

/** What a daemon that works says of itself. */
export interface Service {
  http: HttpAddress | undefined;
  routes: HttpRoutes | HttpRouter;
  /** One line for `systemctl status`. */
  status: () => string;
  /** Whether the work goes on, for the watchdog. */
  progress: Progress;
  /** SIGHUP: read the configuration again. Returns what was changed, in words. */
  reload: () => string;
  /** SIGUSR2: a document for the log. */
  dump: () => unknown | Promise<unknown>;
}

export class Daemon {
  readonly log: Logger;
  readonly #notifier: Notifier;
  #http: HttpService | undefined;
  readonly #endings: (() => void | Promise<void>)[] = [];

  private constructor(log: Logger, notifier: Notifier) {
    this.log = log;
    this.#notifier = notifier;
  }

  /** To be called after capabilities are cut: that may begin the program anew. */
  static async open({ program, logLevel, log: members }: DaemonSettings): Promise<Daemon> {
    const log = createLogger(program, logLevel).child(members ?? {});
    // Before and after `serve` nobody takes them, and they must not end the process.
    for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
    const { notifier, problem } = await Notifier.fromEnvironment();
    if (problem) log.warn(problem);
    return new Daemon(log, notifier);
  }

  /** What serves HTTP; undefined when nothing does. */
  get http(): HttpService | undefined {
    return this.#http;
  }

  /** The work has begun, and all that the daemon promises holds: tells the service manager, serves HTTP, takes signals. */
  serve(service: Service): void {
    const { log } = this;
    if (service.http) {
      const http = HttpService.start(service.http, service.routes, log);
      this.#http = http;
      this.#endings.push(() => http.close());
    }
    this.#onSignal('SIGHUP', async () => {
      // First this: which lines are written at all is decided when `info` is looked up, and it sets the level.
      const done = service.reload();
      log.info(`reloaded: ${done}`);
    });
    this.#onSignal('SIGUSR2', async () => {
      const dump = await service.dump();
      log.info({ dump }, 'dump');
    });
    const say = () => this.#notifier.status(service.status());
    const timer = setInterval(say, STATUS_MS).unref();
    const fed = feedWatchdog(this.#notifier, service.progress, log);
    this.#endings.push(() => clearInterval(timer), fed);
    say();
    this.#notifier.ready();
  }

  /** The end has begun. Ends what `serve` began; may be called without it. */
  async close(): Promise<void> {
    this.#notifier.stopping();
    for (const end of this.#endings.splice(0)) await end();
  }

  #onSignal(signal: NodeJS.Signals, act: () => Promise<void>): void {
    const listener = () => {
      act().catch(error => {
        this.log.error({ code: asCurlingError(error).code }, `${signal}: ${messageOf(error)}`);
      });
    };
    process.on(signal, listener);
    this.#endings.push(() => void process.off(signal, listener));
  }
}
