/**
 * The ways that a guest's frames can take, side by side: two equal rigs, one with nothing but the kernel's bridge, one
 * with a proxy, in the state and with the driver that the way asks for.
 */
import { CurlingError } from '../../common/errors.ts';
import { Rig, type RigOptions } from './rig.ts';
import { type ProxyOptions, RigProxy } from './rig-proxy.ts';
import type { ToolProcess } from './tool-process.ts';

/**
 * `bridge`: no proxy at all. `bypass`: a proxy that holds nothing. `pass`: what is captured leaves at once. `hold`: what is held is sealed and released as soon
 * as the proxy says that there is something. `epoch-N`: sealed every N ms, and released at once.
 */
export type Way = 'bridge' | 'bypass' | 'pass' | 'hold' | `epoch-${number}`;

const RESULT_MS_MAX = 15_000;
const REACH_TRIES = 20;

/** A rig in the state of one way. */
export interface Course {
  rig: Rig;
  /** Undefined on the bare bridge. */
  proxy: RigProxy | undefined;
}

/** How often the proxy was driven, and what one seal with its release took over the control socket. */
export interface DriverResult {
  epochs: number;
  p50Us: number;
  p99Us: number;
}

export class Ways {
  /** Of the last run that had a driver. */
  driven: DriverResult | undefined;
  readonly #plain: Rig;
  readonly #protected: Rig;
  readonly #proxy: RigProxy;

  private constructor(plain: Rig, guarded: Rig, proxy: RigProxy) {
    this.#plain = plain;
    this.#protected = guarded;
    this.#proxy = proxy;
  }

  /** @throws CurlingError of Rig.create and RigProxy.start; nothing is left then. */
  static async open(options: RigOptions, proxyOptions: ProxyOptions = {}): Promise<Ways> {
    const made: Rig[] = [];
    try {
      for (let count = 0; count < 2; count++) made.push(await Rig.create(options));
      const proxy = await RigProxy.start(made[1]!, proxyOptions);
      return new Ways(made[0]!, made[1]!, proxy);
    } catch (error) {
      for (const rig of made) rig.remove();
      throw error;
    }
  }

  /**
   * Runs `measure` with frames taking this way. Afterwards nothing is held and nobody drives.
   * @throws CurlingError what measure throws, or the driver's failure.
   */
  async along<Result>(way: Way, measure: (course: Course) => Promise<Result>): Promise<Result> {
    if (way === 'bridge') return measure({ rig: this.#plain, proxy: undefined });
    const course = { rig: this.#protected, proxy: this.#proxy };
    await this.#proxy.execute(way === 'bypass' ? 'bypass' : 'hold');
    if (way === 'pass') await this.#proxy.execute('pass');
    if (way === 'bypass' || way === 'pass') {
      await reached(course.rig);
      return measure(course);
    }
    const driver = await startDriver(course.rig, this.#proxy, way);
    try {
      await reached(course.rig);
      const result = await measure(course);
      this.driven = await driverResult(driver);
      return result;
    } finally {
      await driver.end();
      await this.#proxy.execute('discard');
    }
  }

  /** Ends the proxy and removes both rigs. */
  async close(): Promise<void> {
    await this.#proxy.end().catch(() => undefined);
    this.#plain.remove();
    this.#protected.remove();
  }
}

/** Starts what seals and releases. */
export function startDriver(rig: Rig, proxy: RigProxy, way: Way): Promise<ToolProcess> {
  const pace = way === 'hold' ? ['at-once'] : ['every', epochMs(way) * 1000];
  return rig.start('host', 'epoch-driver', proxy.control, ...pace).ready();
}

function epochMs(way: Way): number {
  return Number(way.slice('epoch-'.length));
}

async function driverResult(driver: ToolProcess): Promise<DriverResult> {
  driver.finish();
  const { epochs, p50Ns, p99Ns } = await driver.said('result', RESULT_MS_MAX);
  return { epochs: Number(epochs), p50Us: Number(p50Ns) / 1000, p99Us: Number(p99Ns) / 1000 };
}

/** Frames of the moment when the proxy changes its state may be lost. */
async function reached(rig: Rig): Promise<void> {
  for (let tries = 0; tries < REACH_TRIES; tries++) if (await rig.reachesGuest()) return;
  throw new CurlingError('CURLING_TIMEOUT', `${rig.name}: nothing comes through the proxy`);
}
