/**
 * Three network namespaces on this machine: a host with a bridge, a guest and the outside.
 *
 *   guest            host                          outside
 *   eth0 ── veth ─── tap0 ┐
 *                         br0 ── up0 ─── veth ─── eth0
 *   eth0 ─ shuttle ─ tap0 ┘
 *
 * The guest's side is a veth pair, or a program that plays QEMU with a virtio card between two real taps. The host's
 * end is `tap0` in both cases. Everything belongs to a lab, so that it goes however this process ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import { forgetAtExit, removeAtExit, removeLab } from '../../lab/cleanup.ts';
import { createRecord, LAB_VARIABLE } from '../../lab/record.ts';
import { ToolProcess } from './tool-process.ts';
import { buildTools } from './tools.ts';

export type GuestKind = 'veth' | 'tap';
export type Place = 'guest' | 'host' | 'outside';

export interface RigOptions {
  guest: GuestKind;
  /** Whether the cards of both ends do checksums and segmentation. Default true. */
  offloads?: boolean;
}

export const TAP = 'tap0';
export const BRIDGE = 'br0';
/** The interface of the guest, and of the outside. */
export const CARD = 'eth0';
export const ADDRESSES = { guest: '10.77.0.2', outside: '10.77.0.3' } as const;
export const MACS = { guest: '02:c1:00:00:00:02', outside: '02:c1:00:00:00:03' } as const;
export const ECHO_PORT = 7;

const PLACES: readonly Place[] = ['guest', 'host', 'outside'];
const SETTLE_TRIES = 100;
const SETTLE_WAIT_MS = 20;
/**
 * Without IPv6 nobody talks unasked; with the bridge's netfilter hook on, the figures would be iptables'; and a TCP
 * connection must not start with what the kernel remembers of the path from the run before.
 */
const QUIET = `
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save
for name in iptables ip6tables arptables; do
  file=/proc/sys/net/bridge/bridge-nf-call-$name
  [ ! -e $file ] || echo 0 >$file
done`;

export class Rig {
  readonly name: string;
  readonly #options: Required<RigOptions>;
  readonly #tools: string;

  private constructor(name: string, tools: string, options: RigOptions) {
    this.name = name;
    this.#tools = tools;
    this.#options = { offloads: true, ...options };
  }

  /**
   * Makes the namespaces and waits until the guest and the outside reach each other.
   * @throws CurlingError CURLING_TOOL_MISSING, CURLING_TOOL_FAILED, CURLING_TIMEOUT.
   */
  static async create(options: RigOptions): Promise<Rig> {
    const tools = await buildTools();
    const { name } = createRecord([], false);
    removeAtExit(name);
    const rig = new Rig(name, tools, options);
    try {
      await rig.#build();
      return rig;
    } catch (error) {
      rig.remove();
      throw error;
    }
  }

  /** The name of a place's namespace. */
  namespace(place: Place): string {
    return `${this.name}-${place}`;
  }

  /** The command that runs another one at a place. */
  at(place: Place, command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespace(place), ...command];
  }

  /** Starts a program at a place; it is killed with the rig. */
  spawn(place: Place, name: string, command: readonly string[]): ToolProcess {
    return new ToolProcess(name, this.at(place, command), { [LAB_VARIABLE]: this.name });
  }

  /** Starts one of the traffic tools at a place. */
  start(place: Place, tool: string, ...args: (string | number)[]): ToolProcess {
    return this.spawn(place, tool, [`${this.#tools}/${tool}`, ...args.map(String)]);
  }

  /** Runs iproute2's `ip` at a place. */
  async ip(place: Place, commands: readonly string[]): Promise<void> {
    const input = `${commands.join('\n')}\n`;
    await run('ip', ['-n', this.namespace(place), '-batch', '-'], { input });
  }

  /** Ends all processes at the rig and removes it. */
  remove(): void {
    removeLab(this.name);
    forgetAtExit(this.name);
  }

  async #build(): Promise<void> {
    const spaces = PLACES.map(place => `netns add ${this.namespace(place)}`);
    await run('ip', ['-batch', '-'], { input: `${spaces.join('\n')}\n` });
    await Promise.all(
      PLACES.map(place => run('ip', this.at(place, ['sh', '-ec', QUIET]).slice(1))),
    );
    await this.ip('host', [`link add ${BRIDGE} type bridge mcast_snooping 0`]);
    await this.#cable('up0', 'outside');
    if (this.#options.guest === 'tap') await this.#plug();
    else await this.#cable(TAP, 'guest');
    await this.ip('host', [
      `link set ${TAP} master ${BRIDGE} up`,
      `link set up0 master ${BRIDGE} up`,
      `link set ${BRIDGE} up`,
    ]);
    await Promise.all([this.#address('guest', 'outside'), this.#address('outside', 'guest')]);
    if (!this.#options.offloads) await this.#switchOffloads();
    await this.start('guest', 'udp-ping', 'echo', ECHO_PORT).ready();
    await this.#settle();
  }

  #cable(port: string, place: 'guest' | 'outside'): Promise<void> {
    const peer = `peer name ${CARD} netns ${this.namespace(place)}`;
    return this.ip('host', [`link add ${port} type veth ${peer}`]);
  }

  async #plug(): Promise<void> {
    const space = (place: Place) => `/var/run/netns/${this.namespace(place)}`;
    const offloads = this.#options.offloads ? 'on' : 'off';
    const shuttle = ['shuttle', space('guest'), CARD, space('host'), TAP, offloads] as const;
    await this.start('host', ...shuttle).ready();
  }

  async #address(place: 'guest' | 'outside', other: 'guest' | 'outside'): Promise<void> {
    await this.ip(place, [
      `link set lo up`,
      `link set ${CARD} address ${MACS[place]} up`,
      `address add ${ADDRESSES[place]}/24 dev ${CARD}`,
      `neighbour replace ${ADDRESSES[other]} lladdr ${MACS[other]} dev ${CARD} nud permanent`,
    ]);
  }

  async #switchOffloads(): Promise<void> {
    const places: Place[] = this.#options.guest === 'tap' ? ['outside'] : ['outside', 'guest'];
    for (const place of places) {
      await this.start(place, 'offloads', CARD, 'off').said('result', 5_000);
    }
  }

  /** Ports and carriers come up in their own time; an answer says that all have. */
  async #settle(): Promise<void> {
    for (let tries = 0; tries < SETTLE_TRIES; tries++) {
      if (await this.reachesGuest()) return;
      await sleep(SETTLE_WAIT_MS);
    }
    throw new CurlingError(
      'CURLING_TIMEOUT',
      `${this.name}: the guest does not answer the outside`,
    );
  }

  /** Whether the guest answers the outside. Also tells the bridge where both are. */
  async reachesGuest(): Promise<boolean> {
    const ping = this.start('outside', 'udp-ping', 'ping', ADDRESSES.guest, ECHO_PORT, 2, 1000);
    try {
      const { lost } = await ping.said('result', 5_000);
      return lost === 0;
    } catch (error) {
      if (error instanceof CurlingError && error.code === 'CURLING_TOOL_FAILED') return false;
      throw error;
    } finally {
      await ping.end();
    }
  }
}
