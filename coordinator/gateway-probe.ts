/**
 * Asks the gateways with ICMP echo requests all the time, so that their answer is known the moment a
 * grant has to be asked for. Which answers count is decided in arbitration/gateway.ts.
 *
 * Raw sockets come from the optional package `raw-socket`, and need CAP_NET_RAW.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import net from 'node:net';
import type { Clock } from '../common/clock.ts';
import { CurlingError, messageOf } from '../common/errors.ts';
import { LimitedLog } from '../common/limited-log.ts';
import type { Logger } from '../common/log.ts';
import { decodeReply, encodeRequest, type Family, PAYLOAD_BYTES } from './arbitration/echo.ts';
import { GatewayMonitor } from './arbitration/gateway.ts';

/** Between two requests to each gateway, and two looks whether one still answers. An answer is looked at when it comes. */
const PROBE_MS = 200;

/** What is used of the package, which has no types of its own. */
interface RawSocket extends EventEmitter {
  send(
    bytes: Buffer,
    offset: number,
    length: number,
    address: string,
    sent: (error: Error | null) => void,
  ): void;
  close(): void;
}
interface RawSocketModule {
  createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
  AddressFamily: { IPv4: number; IPv6: number };
  Protocol: { ICMP: number; ICMPv6: number };
}

export interface GatewayEvents {
  /** From the first look on, and at every change. */
  change: [reachable: boolean];
}

/** Who knows whether a gateway answers. */
export interface Gateway extends EventEmitter<GatewayEvents> {
  readonly addresses: readonly string[];
  readonly counters: Readonly<GatewayMonitor['counters']>;
  /** Whether a gateway has answered just now. */
  readonly reachable: boolean;
  /** For an operator, when none is reachable. */
  readonly text: string;
  /** Asks every gateway now, besides the regular times. */
  probe(): void;
  close(): void;
}

export class GatewayProbe extends EventEmitter<GatewayEvents> implements Gateway {
  readonly monitor: GatewayMonitor;
  readonly #clock: Clock;
  readonly #lines: LimitedLog;
  readonly #raw: RawSocketModule;
  readonly #sockets = new Map<Family, RawSocket>();
  readonly #identifier = randomBytes(2).readUInt16BE();
  #sequence = 0;
  #said: boolean | undefined;
  #failure: string | undefined;
  #probeTimer: NodeJS.Timeout | undefined;

  private constructor(
    raw: RawSocketModule,
    addresses: readonly string[],
    clock: Clock,
    log: Logger,
  ) {
    super();
    this.#raw = raw;
    this.#clock = clock;
    this.#lines = new LimitedLog(log);
    this.monitor = new GatewayMonitor(addresses);
  }

  /**
   * Begins to ask; `change` tells what is found.
   * @param addresses IPv4 or IPv6; any one that answers is enough.
   * @throws CurlingError CURLING_TOOL_MISSING without the package, CURLING_NOT_ROOT without the capability.
   */
  static async open(
    addresses: readonly string[],
    clock: Clock,
    log: Logger,
  ): Promise<GatewayProbe> {
    const raw = await loadRawSocket();
    const probe = new GatewayProbe(raw, addresses, clock, log);
    try {
      for (const address of addresses) probe.#openSocket(familyOf(address));
    } catch (error) {
      probe.close();
      throw error;
    }
    const ask = () => {
      probe.probe();
      probe.#look();
    };
    probe.#probeTimer = setInterval(ask, PROBE_MS).unref();
    probe.probe();
    return probe;
  }

  get addresses(): readonly string[] {
    return this.monitor.addresses;
  }

  get counters(): Readonly<GatewayMonitor['counters']> {
    return this.monitor.counters;
  }

  get reachable(): boolean {
    return this.monitor.reachable(this.#clock.now());
  }

  get text(): string {
    const { text } = this.monitor;
    return this.#failure === undefined ? text : `${text} (${this.#failure})`;
  }

  probe(): void {
    for (const address of this.monitor.addresses) this.#ask(address);
  }

  close(): void {
    clearInterval(this.#probeTimer);
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #ask(address: string): void {
    const family = familyOf(address);
    const socket = this.#sockets.get(family) ?? this.#openAgain(family);
    if (!socket) return;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const payload = randomBytes(PAYLOAD_BYTES);
    const echo = { identifier: this.#identifier, sequence: this.#sequence, payload };
    this.monitor.sent(address, tokenOf(echo), this.#clock.now());
    const bytes = encodeRequest(family, echo);
    socket.send(bytes, 0, bytes.length, address, error => {
      this.#failure = error ? messageOf(error) : undefined;
    });
  }

  #openAgain(family: Family): RawSocket | undefined {
    try {
      this.#openSocket(family);
    } catch (error) {
      this.#failure = messageOf(error);
    }
    return this.#sockets.get(family);
  }

  #openSocket(family: Family): void {
    if (this.#sockets.has(family)) return;
    const { AddressFamily, Protocol } = this.#raw;
    const options =
      family === 4
        ? { protocol: Protocol.ICMP, addressFamily: AddressFamily.IPv4 }
        : { protocol: Protocol.ICMPv6, addressFamily: AddressFamily.IPv6 };
    let socket: RawSocket;
    try {
      socket = this.#raw.createSocket(options);
    } catch (error) {
      const text = `--gateway needs a raw socket, and so CAP_NET_RAW or root: ${messageOf(error)}`;
      throw new CurlingError('CURLING_NOT_ROOT', text, { cause: error });
    }
    socket.on('message', (packet: Buffer, source: string) =>
      this.#received(family, packet, source),
    );
    // A socket that failed is of no use; the next probe takes another one.
    socket.on('error', (error: Error) => {
      if (this.#sockets.get(family) !== socket) return;
      this.#lines.say('error', {}, `a gateway cannot be asked: ${messageOf(error)}`);
      this.#failure = messageOf(error);
      this.#sockets.delete(family);
      socket.close();
    });
    this.#sockets.set(family, socket);
  }

  #received(family: Family, packet: Buffer, source: string): void {
    const reply = decodeReply(family, packet);
    if (!reply || reply.identifier !== this.#identifier) return;
    if (this.monitor.answered(source, tokenOf(reply), this.#clock.now())) this.#look();
  }

  #look(): void {
    const { reachable } = this;
    if (reachable === this.#said) return;
    // Silence means something only when there was time for an answer.
    if (!reachable && this.#said === undefined && this.monitor.counters.sent < 3) return;
    this.#said = reachable;
    this.emit('change', reachable);
  }
}

function familyOf(address: string): Family {
  return net.isIPv6(address) ? 6 : 4;
}

function tokenOf(echo: { sequence: number; payload: Buffer }): string {
  return `${echo.sequence} ${echo.payload.toString('hex')}`;
}

async function loadRawSocket(): Promise<RawSocketModule> {
  const name = 'raw-socket';
  try {
    const loaded = (await import(name)) as { default: RawSocketModule };
    return loaded.default;
  } catch (error) {
    const text =
      '--gateway needs the optional package raw-socket, which is not installed or not built; ' +
      `install a C++ compiler, make and python3, then npm rebuild raw-socket: ${messageOf(error)}`;
    throw new CurlingError('CURLING_TOOL_MISSING', text, { cause: error });
  }
}
