/** Looks once a second whether the tap and the own tap are still where they were. */
import { asCurlingError, CurlingError } from '../common/errors.ts';
import type { TapSite } from './bridge.ts';
import { type Link, readPorts } from './links.ts';

const INTERVAL_MS = 1000;

export type LinkState = 'up' | 'down';

/** The state of an interface: up when it is and its other end is. */
export function linkStateOf(link: Link): LinkState {
  return link.flags.includes('UP') && link.flags.includes('LOWER_UP') ? 'up' : 'down';
}

/**
 * The state of the tap among the ports of its bridge.
 * @throws CurlingError CURLING_TAP_GONE when it is not the interface that it was, on the bridge that it was on;
 *   CURLING_DATAPATH when the own tap has left the bridge.
 */
export function judgePorts(site: TapSite, port: string, ports: readonly Link[]): LinkState {
  const tap = ports.find(link => link.index === site.tap.index);
  if (!tap) {
    const text = `${site.tap.name} is gone, or no longer a port of ${site.bridge}`;
    throw new CurlingError('CURLING_TAP_GONE', text);
  }
  if (!ports.some(link => link.name === port)) {
    const text = `${port} is no longer a port of ${site.bridge}; nothing can be released`;
    throw new CurlingError('CURLING_DATAPATH', text);
  }
  return linkStateOf(tap);
}

export interface LinkWatchHandlers {
  changed(state: LinkState): void;
  /** The own tap has another MTU than the tap, whose MTU is given. */
  mtuChanged(mtu: number): void;
  /** Once, with an error of `judgePorts`; the watch has stopped. */
  failed(error: CurlingError): void;
  /** The state could not be read this time. */
  unread(error: unknown): void;
}

export class LinkWatch {
  readonly #site: TapSite;
  readonly #port: string;
  readonly #handlers: LinkWatchHandlers;
  #state: LinkState;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** Starts to watch. */
  constructor(site: TapSite, port: string, handlers: LinkWatchHandlers) {
    this.#site = site;
    this.#port = port;
    this.#handlers = handlers;
    this.#state = linkStateOf(site.tap);
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => void this.#look(), INTERVAL_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const ports = await readPorts(this.#site.bridge).catch(error => {
      if (!this.#stopped) this.#handlers.unread(error);
    });
    if (this.#stopped) return;
    try {
      if (ports) this.#judge(ports);
      this.#schedule();
    } catch (error) {
      this.#handlers.failed(asCurlingError(error));
    }
  }

  #judge(ports: Link[]): void {
    const state = judgePorts(this.#site, this.#port, ports);
    if (state !== this.#state) this.#handlers.changed(state);
    this.#state = state;
    const tap = ports.find(link => link.index === this.#site.tap.index);
    const own = ports.find(link => link.name === this.#port);
    if (tap && own && tap.mtu !== own.mtu) this.#handlers.mtuChanged(tap.mtu);
  }
}
