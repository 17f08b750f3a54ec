/**
 * What the outside has seen, and what is true whoever knows it: the judge of a simulated run. It
 * sees everything and tells nobody. The invariants are those of the arbitration design, I1 to I10, and I12: under policy
 * `hold` nothing leaves without a backup, unless the operator says so.
 */
import type { HostState } from '../../../coordinator/arbitration/host-state.ts';
import { type Owner, type Register, sameOwner } from '../../../coordinator/arbitration/register.ts';

/** A broken invariant. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, text: string) {
    super(`${invariant}: ${text}`);
    this.invariant = invariant;
  }
}

/**
 * Every execution of an epoch has its own version; an emitted frame shows the versions of all
 * epochs up to its own.
 */
export type Versions = readonly number[];

export class World {
  /** The version of each epoch that the outside was shown. */
  readonly shown: number[] = [];
  readonly sent: boolean[] = [];
  /** The register of each generation; nothing at 0. */
  readonly registers: (Register | null)[] = [null];
  /** The newest commit of each incarnation, and the generation it belongs to. */
  readonly commits = new Map<string, { generation: number; epoch: number }>();
  newestSent = 0;
  /** Per incarnation, the newest epoch that it could let out before it was held. */
  readonly #freed = new Map<string, number>();
  readonly #rules: boolean;

  /** @param rules Whether the rules are judged as well, or only what can be seen from outside. */
  constructor(rules: boolean) {
    this.#rules = rules;
  }

  /** A frame of `epoch` leaves a host whose arbitration is in `state`. */
  emit(state: HostState, epoch: number, versions: Versions): void {
    if (this.#rules) this.#checkPermission(state, epoch);
    if (this.sent[epoch]) throw new Violation('I3', `epoch ${epoch} left twice`);
    this.sent[epoch] = true;
    this.newestSent = Math.max(this.newestSent, epoch);
    for (let e = 1; e <= epoch; e++) {
      const before = this.shown[e];
      if (before !== undefined && before !== versions[e])
        throw new Violation('I4', `epoch ${e} was ${before}, is now ${versions[e]}`);
      this.shown[e] = versions[e] as number;
    }
  }

  /** The register changed. `emitted` is the newest epoch that has left its primary before. */
  changed(register: Register, emittedByPrimary: number): void {
    if (register.generation !== this.registers.length)
      throw new Violation(
        'I8',
        `generation ${register.generation} after ${this.registers.length - 1}`,
      );
    const before = this.registers.at(-1) ?? null;
    this.registers.push(register);
    if (!this.#rules) return;
    if (register.backup) {
      const commit = this.commits.get(register.backup.incarnation);
      if (commit?.generation !== register.generation)
        throw new Violation('I9', 'paired with a backup that has no copy for this generation');
      if (emittedByPrimary > commit.epoch)
        throw new Violation('I9', `${emittedByPrimary} left, the copy is of ${commit.epoch}`);
    }
    const promoted =
      register.mode === 'SOLO' && sameOwner(before?.backup ?? null, register.primary);
    if (promoted && this.committed(register.primary, register.generation - 1) < this.newestSent)
      throw new Violation(
        'I5',
        `promoted below epoch ${this.newestSent}, which the world has seen`,
      );
  }

  /** An incarnation has `epoch` complete and durable. */
  commit(incarnation: string, generation: number, epoch: number): void {
    const last = this.commits.get(incarnation)?.epoch ?? -1;
    this.commits.set(incarnation, { generation, epoch: Math.max(last, epoch) });
  }

  committed(owner: Owner, generation: number): number {
    const commit = this.commits.get(owner.incarnation);
    return commit?.generation === generation ? commit.epoch : -1;
  }

  /** An ack leaves a backup. */
  acked(owner: Owner, generation: number, epoch: number): void {
    if (this.#rules && this.committed(owner, generation) < epoch)
      throw new Violation('I6', `${owner.host} acked epoch ${epoch} that it has not committed`);
  }

  /** A host resumes from checkpoint `from`. */
  resumes(from: number, versions: Versions): void {
    if (from < this.newestSent)
      throw new Violation('I5', `resumed from ${from}, the world has seen ${this.newestSent}`);
    for (let e = 1; e <= from; e++) {
      if (this.shown[e] !== undefined && this.shown[e] !== versions[e])
        throw new Violation(
          'I5',
          `resumed with epoch ${e} as ${versions[e]}, shown ${this.shown[e]}`,
        );
    }
  }

  /** A host went from one state to another. */
  moved(from: HostState, to: HostState): void {
    if (!this.#rules) return;
    if (to.name === 'SYNC' && !to.held) this.#freed.set(to.me.incarnation, to.snapshot);
    const register = this.registers[to.generation] ?? null;
    const mine = sameOwner(register?.primary ?? null, to.me);
    if (from.name === 'SRES' && to.name === 'SOLO')
      throw new Violation('I10', `${to.me.host} gave up a pair that may exist`);
    if (to.name === 'SOLO' && !(register?.mode === 'SOLO' && mine))
      throw new Violation('I1', `${to.me.host} is alone without the grant of ${to.generation}`);
    if (to.name === 'PROT') {
      const paired = register?.mode === 'PAIR' && mine && sameOwner(register.backup, to.peer);
      if (!paired) throw new Violation('I7', `${to.me.host} is protected without a pair`);
    }
  }

  /** Two hosts may never both emit what nobody has committed. */
  oneFreeEmitter(states: readonly (HostState | null)[]): void {
    if (!this.#rules) return;
    let free = 0;
    for (const state of states) if (state?.name === 'SOLO' || state?.name === 'SYNC') free++;
    if (free > 1) throw new Violation('I1', 'two hosts are free to emit');
  }

  /** Policy `hold`: without a backup nothing leaves but what the last one had. */
  #checkHeld({ me, generation, name }: HostState, epoch: number): void {
    const register = this.registers
      .slice(0, generation + 1)
      .findLast(it => it?.mode === 'PAIR' && sameOwner(it.primary, me));
    const backup = register?.backup;
    const committed = backup ? this.committed(backup, register.generation) : -1;
    if (epoch > Math.max(committed, this.#freed.get(me.incarnation) ?? -1))
      throw new Violation('I12', `epoch ${epoch} left a held ${name}`);
  }

  #checkPermission(state: HostState, epoch: number): void {
    const { name, me } = state;
    const register = this.registers[state.generation] ?? null;
    if (!sameOwner(register?.primary ?? null, me))
      throw new Violation(
        'I2',
        `${me.host} emits in ${name} without generation ${state.generation}`,
      );
    if (state.held) {
      this.#checkHeld(state, epoch);
    } else if (name === 'SOLO') {
      if (register?.mode !== 'SOLO') throw new Violation('I2', `${me.host} emits alone in a pair`);
    } else if (name === 'SYNC' || name === 'SRES') {
      if (epoch > state.snapshot)
        throw new Violation('I9', `epoch ${epoch} left after the copy of ${state.snapshot}`);
    } else if (name === 'PROT' || name === 'PRES') {
      const backup = register?.backup;
      if (!backup || this.committed(backup, state.generation) < epoch)
        throw new Violation('I2', `epoch ${epoch} left before the backup had it`);
    } else throw new Violation('I2', `${me.host} emits in ${name}`);
  }
}
