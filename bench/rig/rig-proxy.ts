/** A curling-proxy on the rig's tap, known only from outside: its command line, its control socket, its CPU time. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { inRepository } from '../../lab/paths.ts';
import { labDirectory } from '../../lab/record.ts';
import { BRIDGE, type Rig, TAP } from './rig.ts';
import type { ToolProcess } from './tool-process.ts';

const START_MS_MAX = 15_000;
const POLL_MS = 5;

export interface ProxyOptions {
  /** Default 256, the proxy's own. */
  bufferMib?: number;
  /** Further arguments of curling-proxy. */
  args?: readonly string[];
}

/** What `query-status` says, as far as the rig looks. */
export interface ProxyStatus {
  state: string;
  held: { frames: number; bytes: number; framesMax: number; bytesMax: number };
}

export class RigProxy {
  readonly control: string;
  readonly #process: ToolProcess;
  readonly #client: QmpClient;

  private constructor(control: string, process: ToolProcess, client: QmpClient) {
    this.control = control;
    this.#process = process;
    this.#client = client;
  }

  /**
   * Starts build/proxy/main.js on the rig's tap, in hold.
   * @throws CurlingError CURLING_TOOL_FAILED with what it wrote when it does not start, CURLING_TIMEOUT.
   */
  static async start(rig: Rig, options: ProxyOptions = {}): Promise<RigProxy> {
    const control = join(labDirectory(rig.name), 'proxy.sock');
    const command = [process.execPath, inRepository('build/proxy/main.js'), '--tap', TAP];
    command.push('--bridge', BRIDGE, '--control', control, '--log-level', 'warn');
    command.push('--buffer-mib', String(options.bufferMib ?? 256), ...(options.args ?? []));
    const child = rig.spawn('host', 'curling-proxy', command);
    try {
      const client = await connect(control, child);
      await client.execute('query-status');
      return new RigProxy(control, child, client);
    } catch (error) {
      await child.end();
      throw error;
    }
  }

  /** @throws CurlingError that of the proxy. */
  execute(command: string, args: JsonObject = {}): Promise<JsonObject> {
    return this.#client.execute(command, args) as Promise<JsonObject>;
  }

  async status(): Promise<ProxyStatus> {
    return (await this.execute('query-status')) as unknown as ProxyStatus;
  }

  /** Waits until so many frames are held, at most for a while. Returns how many are. */
  async untilHeld(frames: number, timeoutMs = 5_000): Promise<number> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const { held } = await this.status();
      if (held.frames >= frames || performance.now() > deadlineMs) return held.frames;
      await sleep(POLL_MS);
    }
  }

  /** The CPU time of all its threads so far, in nanoseconds, as the scheduler counts it. */
  cpuNs(): number {
    return cpuTimeNs(this.#process.pid);
  }

  /** Ends it in bypass, so that the tap is as it was found. */
  async end(): Promise<void> {
    if (this.#process.running) {
      await this.execute('bypass').catch(() => undefined);
      await this.#process.end('SIGTERM');
    }
    this.#client.close();
  }
}

async function connect(control: string, child: ToolProcess): Promise<QmpClient> {
  const deadlineMs = performance.now() + START_MS_MAX;
  for (;;) {
    if (!child.running) {
      const text = `curling-proxy did not start: ${child.errors}`;
      throw new CurlingError('CURLING_CONNECT', text);
    }
    try {
      if (existsSync(control)) return await QmpClient.connect(control);
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
    if (performance.now() > deadlineMs) {
      const text = `curling-proxy does not listen after ${START_MS_MAX} ms: ${child.errors}`;
      throw new CurlingError('CURLING_TIMEOUT', text);
    }
    await sleep(POLL_MS);
  }
}

/** The first number of schedstat is the time on a CPU in nanoseconds; `stat` has ticks of 10 ms only. */
export function cpuTimeNs(pid: number): number {
  const threads = `/proc/${pid}/task`;
  let totalNs = 0;
  for (const thread of readdirSync(threads)) {
    try {
      totalNs += Number(readFileSync(`${threads}/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch {
      // The thread ended meanwhile.
    }
  }
  return totalNs;
}
