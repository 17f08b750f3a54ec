/**
 * The judge of a run. What the outside sees are frames, each of which shows the history of the guest that sent it; what
 * must be true whoever knows it are the rules of the arbitration, judged by its own world (test/arbitration/sim).
 */
import type { HostState } from '../../coordinator/arbitration/host-state.ts';
import { type Owner, type Register, sameOwner } from '../../coordinator/arbitration/register.ts';
import { Violation, World } from '../arbitration/sim/world.ts';
import type { Ledger, Moment } from './guest.ts';

export { Violation };

/** A frame of the guest, and the QEMU that sent it, which somebody owns. */
export interface SimFrame extends Moment {
  readonly from: { readonly owner: Owner | null };
}

/** A checkpoint that counts at some incarnation. */
interface Commit {
  readonly epoch: number;
  readonly moment: Moment;
}

export class Outside {
  readonly world = new World(true);
  /** Frames that left, by the step that sent them. */
  readonly #seen = new Set<number>();
  /** The end of the longest history that was shown. */
  #tip: Moment = { steps: 0, version: 0 };
  /** Newest checkpoint of each incarnation in each generation. */
  readonly #commits = new Map<string, Commit>();
  /** The newest step that left while its owner could speak freely, by incarnation. */
  readonly #spoken = new Map<string, number>();
  readonly #ledger: Ledger;
  /** Whether the rules are judged as well, or only what can be seen. */
  readonly #rules: boolean;
  frames = 0;

  constructor(ledger: Ledger, rules: boolean) {
    this.#ledger = ledger;
    this.#rules = rules;
  }

  get newest(): Moment {
    return this.#tip;
  }

  /** A frame has left. */
  saw(frame: SimFrame): void {
    this.frames++;
    if (this.#rules) this.#mayLeave(frame);
    if (this.#seen.has(frame.steps)) {
      throw new Violation('I3', `the frame of step ${frame.steps} left twice`);
    }
    this.#seen.add(frame.steps);
    const tip = this.#tip;
    const [older, newer] = frame.steps > tip.steps ? [tip, frame] : [frame, tip];
    if (!this.#ledger.precedes(older, newer)) {
      const text = `step ${older.steps} was version ${older.version}`;
      throw new Violation('I4', `${text}, but is not in the history of step ${newer.steps}`);
    }
    this.#tip = newer;
    const speaker = frame.from.owner?.incarnation ?? '';
    this.#spoken.set(speaker, Math.max(this.#spoken.get(speaker) ?? 0, frame.steps));
  }

  /** A checkpoint counts from now on. */
  committed(owner: Owner, generation: number, epoch: number, moment: Moment): void {
    this.world.commit(owner.incarnation, generation, epoch);
    this.#commits.set(`${owner.incarnation} ${generation}`, { epoch, moment });
  }

  /** An acknowledgement leaves its host. */
  acked(owner: Owner, generation: number, epoch: number): void {
    if (this.#rules) this.world.acked(owner, generation, epoch);
  }

  /** The register has changed. */
  registered(register: Register): void {
    const { world } = this;
    const before = world.registers.at(-1) ?? null;
    if (register.generation !== world.registers.length) {
      const text = `generation ${register.generation} after ${world.registers.length - 1}`;
      throw new Violation('I8', text);
    }
    world.registers.push(register);
    if (!this.#rules) return;
    const { backup, primary, generation } = register;
    if (backup) {
      const copy = this.#commit(backup, generation);
      if (!copy) throw new Violation('I9', 'paired with a backup that has no copy');
      const spoken = this.#spoken.get(primary.incarnation) ?? 0;
      if (spoken > copy.moment.steps) {
        throw new Violation('I9', `step ${spoken} was said, the copy is of ${copy.moment.steps}`);
      }
    }
    if (before?.backup && sameOwner(before.backup, primary)) {
      const newest = this.#commit(primary, generation - 1);
      if (!newest || !this.#ledger.precedes(this.#tip, newest.moment)) {
        throw new Violation('I5', `granted to a backup that misses step ${this.#tip.steps}`);
      }
    }
  }

  /** A host lets the guest run from a checkpoint. */
  resumes(moment: Moment, fault: string): void {
    if (fault) throw new Violation('I5', `resumed from a memory of two moments: ${fault}`);
    if (!this.#ledger.precedes(this.#tip, moment)) {
      const text = `resumed from step ${moment.steps} version ${moment.version}`;
      throw new Violation('I5', `${text}, the world has seen step ${this.#tip.steps}`);
    }
  }

  /** A host's arbitration went on. */
  moved(before: HostState, after: HostState, all: readonly (HostState | null)[]): void {
    if (!this.#rules) return;
    this.world.moved(before, after);
    this.world.oneFreeEmitter(all);
  }

  #commit(owner: Owner, generation: number): Commit | undefined {
    return this.#commits.get(`${owner.incarnation} ${generation}`);
  }

  /** By facts that stay true: its owner is alone in the newest register, or its backup has it. */
  #mayLeave(frame: SimFrame): void {
    const { registers } = this.world;
    for (let generation = registers.length - 1; generation > 0; generation--) {
      const { primary, backup, mode } = registers[generation]!;
      if (!sameOwner(primary, frame.from.owner)) continue;
      if (mode === 'SOLO' && generation === registers.length - 1) return;
      const commit = backup && this.#commit(backup, generation);
      if (commit && this.#ledger.precedes(frame, commit.moment)) return;
    }
    throw new Violation('I2', `step ${frame.steps} left ${frame.from.owner?.host} uncommitted`);
  }
}
