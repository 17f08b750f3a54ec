/**
 * The three guests of the comparison: one without protection (and behind filter-buffer), one under
 * QEMU's COLO, one under curling. Each is booted once and used over all rounds. QEMU's own that are
 * not being measured are frozen whole, so that they do not disturb the others; curling, which would
 * take that for an outage, ends its protection meanwhile, and its idle guest runs on. A peer that died is ended, and booted anew when
 * its turn comes again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientProcess } from '../../lab/client-process.ts';
import { buildImage } from '../../lab/image.ts';
import { ColoPeer } from './colo-peer.ts';
import { CurlingPeer } from './curling-peer.ts';
import { type Peer, startProbe } from './peer.ts';
import { PlainPeer } from './plain-peer.ts';

const KINDS = ['plain', 'colo', 'curling'] as const;
export type Kind = (typeof KINDS)[number];

/** After a guest was thawed: its clock jumped, its timers run all at once. */
const SETTLE_MS = 150;
/** For the next experiment to begin. */
const LINGER_MS = 1_000;

interface Place {
  peer: Peer;
  probe: ClientProcess;
  frozen: boolean;
}

/** The guest that a variant runs on. */
export function kindOf(variant: string): Kind {
  if (variant.startsWith('colo-')) return 'colo';
  return variant === 'curling' ? 'curling' : 'plain';
}

export class Rig {
  readonly #places = new Map<Kind, Place>();
  readonly #starting = new Map<Kind, Promise<Place>>();
  #lingering: NodeJS.Timeout | undefined;

  /** Boots what is not there yet; a peer that does not come up says so when its turn comes. */
  async open(): Promise<void> {
    clearTimeout(this.#lingering);
    await Promise.allSettled(KINDS.map(kind => this.#place(kind)));
    for (const kind of KINDS) await this.#rest(kind).catch(() => undefined);
  }

  /**
   * Gives one variant the machine.
   * @throws NotRunnable in the peer's own words; whatever else is thrown, the next try begins with a new guest
   */
  async use(variant: string): Promise<{ peer: Peer; probe: ClientProcess }> {
    const kind = kindOf(variant);
    try {
      const place = await this.#place(kind);
      for (const other of KINDS) if (other !== kind) await this.#rest(other);
      if (this.#thaw(place)) await sleep(SETTLE_MS);
      await place.peer.configure(variant);
      return place;
    } catch (error) {
      await this.drop(variant);
      throw error;
    }
  }

  /** Ends the guest that a variant runs on. */
  async drop(variant: string): Promise<void> {
    const kind = kindOf(variant);
    const place = this.#places.get(kind);
    this.#places.delete(kind);
    await place?.peer.close();
  }

  /** Ends all guests in a moment, unless it is opened again: which experiment is the last is not known here. */
  linger(): void {
    for (const kind of ['plain', 'colo'] as const) void this.#rest(kind);
    clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => void this.close().catch(() => {}), LINGER_MS);
  }

  /** Ends all guests. It may be opened again. */
  async close(): Promise<void> {
    clearTimeout(this.#lingering);
    await Promise.allSettled(this.#starting.values());
    const places = [...this.#places.values()];
    this.#places.clear();
    await Promise.all(places.map(place => place.peer.close()));
  }

  async #place(kind: Kind): Promise<Place> {
    const there = this.#places.get(kind) ?? this.#starting.get(kind);
    if (there) return there;
    const starting = this.#start(kind);
    this.#starting.set(kind, starting);
    try {
      const place = await starting;
      this.#places.set(kind, place);
      return place;
    } finally {
      this.#starting.delete(kind);
    }
  }

  async #start(kind: Kind): Promise<Place> {
    const peer = await startPeer(kind);
    try {
      return { peer, probe: await startProbe(peer.lab), frozen: false };
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  /** Keeps a guest from disturbing the one whose turn it is. */
  async #rest(kind: Kind): Promise<void> {
    const place = this.#places.get(kind);
    if (!place || place.frozen) return;
    if (kind === 'curling') return place.peer.rest?.();
    place.frozen = true;
    for (const node of place.peer.lab.nodes) node.freeze();
  }

  /** Whether it was frozen. */
  #thaw(place: Place): boolean {
    const was = place.frozen;
    place.frozen = false;
    if (was) for (const node of place.peer.lab.nodes) node.thaw();
    return was;
  }
}

async function startPeer(kind: Kind): Promise<Peer> {
  if (kind === 'curling') return CurlingPeer.start();
  const image = await buildImage();
  return kind === 'colo' ? ColoPeer.start(image) : PlainPeer.start(image);
}
