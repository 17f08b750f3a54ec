/**
 * Simulated TCP between hosts and witness. Bytes of one connection keep their order and none of them is lost: a lost
 * segment is a stall, a cut is a stall until it is healed and the sender tries again. Across connections there is no
 * order, so what an old connection carried may arrive after the new one's. A process that dies ends its connections; a
 * host that dies says nothing, and answers with a reset once it is up again.
 */

import type { Link } from '../../coordinator/replication/link.ts';
import type { Random } from '../arbitration/sim/random.ts';
import type { Loop } from './loop.ts';
import type { SimProcess } from './process.ts';

export interface NetworkOptions {
  /** One way, milliseconds. */
  delayMs: number;
  jitterMs: number;
  /** Of segments; a lost one is sent again after RETRANSMIT_MS. */
  lossRate: number;
  /** Of requests to the witness that arrive twice. */
  duplicateRate: number;
}

const RETRANSMIT_MS = 200;
/** How long a sender goes on when no acknowledgement comes back, before its window is used up. */
const UNACKNOWLEDGED_MS = 200;
/** Between two attempts to connect. */
const SYN_MS = 250;
/** Segments that one direction may have on its way; more is a defect of somebody's bounds. */
const SEGMENTS_MAX = 4096;

type Segment = { readonly at: number } & (
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'end' | 'reset' }
);

export class Network {
  readonly loop: Loop;
  readonly up: boolean[];
  /** Segments that came to a connection that was over at their end. */
  late = 0;
  readonly #random: Random;
  readonly #options: NetworkOptions;
  readonly #cuts: number[][];
  readonly #cutAt: number[][];
  readonly #stalled = new Set<{ from: number; to: number; go(): void }>();

  constructor(loop: Loop, random: Random, nodes: number, options: NetworkOptions) {
    this.loop = loop;
    this.#random = random;
    this.#options = options;
    this.up = Array.from({ length: nodes }, () => true);
    this.#cuts = this.up.map(() => this.up.map(() => 0));
    this.#cutAt = this.up.map(() => this.up.map(() => 0));
  }

  cut(from: number, to: number): void {
    if (this.#cuts[from]![to]!++ === 0) this.#cutAt[from]![to] = this.loop.now;
  }

  /** Ends every cut. */
  healAll(): void {
    for (const [from, row] of this.#cuts.entries()) {
      for (const to of row.keys()) {
        row[to] = Math.min(1, row[to]!);
        this.heal(from, to);
      }
    }
  }

  heal(from: number, to: number): void {
    const row = this.#cuts[from]!;
    if (row[to] === 0 || --row[to]! > 0) return;
    for (const stalled of [...this.#stalled]) {
      const mine = stalled.from === from && stalled.to === to;
      const reverse = stalled.from === to && stalled.to === from;
      if (!mine && !reverse) continue;
      this.#stalled.delete(stalled);
      this.loop.after(this.#random.next() * RETRANSMIT_MS, () => stalled.go());
    }
  }

  /** Whether nothing passes from one node to another now. */
  blocked(from: number, to: number): boolean {
    if (this.#cuts[from]![to]! > 0) return true;
    return (
      this.#cuts[to]![from]! > 0 && this.loop.now - this.#cutAt[to]![from]! > UNACKNOWLEDGED_MS
    );
  }

  delayMs(): number {
    const { delayMs, jitterMs, lossRate } = this.#options;
    const lost = lossRate > 0 && this.#random.chance(lossRate) ? RETRANSMIT_MS : 0;
    return delayMs + this.#random.next() * jitterMs + lost;
  }

  /** Half of all closed sockets end with a reset, which overtakes what was not read yet. */
  coin(): boolean {
    return this.#random.chance(0.5);
  }

  stall(stalled: { from: number; to: number; go(): void }): void {
    this.#stalled.add(stalled);
  }

  /** One request or answer between a host and the witness; may arrive late, in any order, and twice, unless `once`. */
  message(from: number, to: number, arrive: () => void, once = false): void {
    const copies = this.#random.chance(this.#options.duplicateRate) && !once ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#messageOnce(from, to, arrive);
  }

  #messageOnce(from: number, to: number, arrive: () => void): void {
    const go = () => {
      if (this.blocked(from, to)) return this.stall({ from, to, go });
      if (this.up[to]) arrive();
    };
    this.loop.after(this.delayMs(), go);
  }
}

/** What the owner of one end hears, in its own process. */
export interface EndHandlers {
  opened?(): void;
  data(bytes: Buffer): void;
  /** The connection is over: ended, reset, or `refused` before it was open. */
  closed(how: 'ended' | 'reset' | 'refused'): void;
}

/** One end of a connection. */
export class End implements Link {
  readonly process: SimProcess;
  readonly node: number;
  readonly #network: Network;
  readonly #handlers: EndHandlers;
  peer: End | undefined;
  /** This side has closed it. */
  #closed = false;
  #over = false;
  #held: Buffer[] | undefined;
  readonly #queue: Segment[] = [];
  #lastAt = 0;
  #pumping = false;

  constructor(network: Network, process: SimProcess, node: number, handlers: EndHandlers) {
    this.#network = network;
    this.process = process;
    this.node = node;
    this.#handlers = handlers;
    process.onDeath(() => this.#died());
  }

  /** Connects to whoever accepts at `to`; undefined there means that nobody listens. */
  connect(to: number, accept: () => ((client: End) => End) | undefined): void {
    this.process.effect(() => this.#try(to, accept));
  }

  write(buffers: readonly Buffer[], sent?: () => void): void {
    this.process.effect(() => {
      if (!this.#closed) this.#push({ kind: 'data', bytes: Buffer.concat(buffers) });
      if (sent) this.process.timer(0.1, sent);
    });
  }

  end(): void {
    this.#close('end');
  }

  destroy(): void {
    this.#close(this.#network.coin() ? 'end' : 'reset');
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    for (const bytes of held ?? []) this.#take(bytes);
  }

  #try(to: number, accept: () => ((client: End) => End) | undefined): void {
    const network = this.#network;
    network.loop.after(network.delayMs(), () => {
      if (this.#closed) return;
      const lost = network.blocked(this.node, to) || network.blocked(to, this.node);
      if (lost || !network.up[to]) {
        this.process.timer(SYN_MS, () => this.#try(to, accept));
        return;
      }
      const server = accept();
      if (server) {
        this.peer = server(this);
        this.peer.peer = this;
      }
      network.loop.after(network.delayMs(), () =>
        this.process.read(() => {
          if (this.#closed) return;
          if (server) this.#handlers.opened?.();
          else this.#finish('refused');
        }),
      );
    });
  }

  #close(kind: 'end' | 'reset'): void {
    if (this.#over) return;
    this.#over = true;
    this.process.effect(() => {
      if (this.#closed) return;
      this.#closed = true;
      if (kind === 'reset') this.#queue.length = 0;
      if (this.peer) this.#push({ kind });
    });
  }

  /** The process is gone: its kernel ends the connection, if there still is a kernel. */
  #died(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#over = true;
    if (!this.#network.up[this.node]) return;
    if (this.peer) this.#push({ kind: this.#network.coin() ? 'end' : 'reset' });
  }

  #push(segment: { kind: 'data'; bytes: Buffer } | { kind: 'end' | 'reset' }): void {
    const network = this.#network;
    this.#lastAt = Math.max(this.#lastAt, network.loop.now + network.delayMs());
    this.#queue.push({ ...segment, at: this.#lastAt });
    if (this.#queue.length > SEGMENTS_MAX) throw new Error('a connection without a bound');
    this.#pump();
  }

  #pump(): void {
    const segment = this.#queue[0];
    if (!segment || this.#pumping || !this.peer) return;
    this.#pumping = true;
    const network = this.#network;
    const go = () => {
      if (network.blocked(this.node, this.peer!.node)) {
        // What a host that is gone has not sent yet, nobody sends again.
        if (network.up[this.node]) network.stall({ from: this.node, to: this.peer!.node, go });
        return;
      }
      this.#pumping = false;
      const next = this.#queue.shift();
      if (next) this.peer!.#arrive(next);
      this.#pump();
    };
    network.loop.after(Math.max(0, segment.at - network.loop.now), go);
  }

  #arrive(segment: Segment): void {
    if (!this.#network.up[this.node]) return;
    if (!this.process.alive) {
      // Nobody knows this connection any more.
      if (segment.kind === 'data' && this.peer) this.peer.#resetBy(this.node);
      if (segment.kind === 'data') this.#network.late++;
      return;
    }
    this.process.read(() => {
      if (this.#over && segment.kind === 'data') this.#network.late++;
      if (this.#over) return;
      if (segment.kind === 'data') this.#take(segment.bytes);
      else this.#finish(segment.kind === 'end' ? 'ended' : 'reset');
    });
  }

  #resetBy(from: number): void {
    this.#network.message(from, this.node, () =>
      this.process.read(() => {
        if (!this.#over) this.#finish('reset');
      }),
    );
  }

  #take(bytes: Buffer): void {
    if (this.#over) return;
    if (this.#held) this.#held.push(bytes);
    else this.#handlers.data(bytes);
  }

  #finish(how: 'ended' | 'reset' | 'refused'): void {
    this.#over = true;
    this.process.effect(() => {
      if (how === 'ended' && !this.#closed && this.peer) this.#push({ kind: 'end' });
      this.#closed = true;
    });
    this.#handlers.closed(how);
  }
}
