import test from 'ava';
import { reduce } from '../../coordinator/arbitration/host.ts';
import type { HostAction, HostEvent } from '../../coordinator/arbitration/host-events.ts';
import { createRequest, initialState } from '../../coordinator/arbitration/host-start.ts';
import {
  acceptsCheckpoint,
  emptyState,
  type HostState,
  releasable,
  unresolved,
} from '../../coordinator/arbitration/host-state.ts';
import type { Owner, Register } from '../../coordinator/arbitration/register.ts';
import { MISTAKES } from './sim/transitions.ts';

const identity = (n: number) => n.toString(16).padStart(32, '0');
const A: Owner = { host: 'a', incarnation: identity(1) };
const B: Owner = { host: 'b', incarnation: identity(2) };
const FRESH = identity(99);
const VM = 'vm';
const solo = (generation: number, primary: Owner): Register => ({
  store: identity(7),
  vm: VM,
  generation,
  mode: 'SOLO',
  primary,
  backup: null,
});
const pair = (generation: number, primary: Owner, backup: Owner): Register => ({
  ...solo(generation, primary),
  mode: 'PAIR',
  backup,
});
const read = (register: Register | null): HostEvent => ({ type: 'register-read', register });

/** Feeds events one after the other; the actions are those of the last, without notices. */
function after(state: HostState, ...events: HostEvent[]): { state: HostState; did: string[] } {
  let actions: readonly HostAction[] = [];
  for (const event of events) {
    const step = reduce(state, event, () => FRESH);
    state = step.state;
    actions = step.actions;
  }
  return { state, did: actions.filter(a => a.type !== 'notify').map(words) };
}

function words(action: HostAction): string {
  if (action.type === 'swap')
    return `swap ${action.request.transition} ${action.request.generation}`;
  if (action.type === 'resume-guest') return `resume-guest ${action.from}`;
  return 'epoch' in action ? `${action.type} ${action.epoch}` : action.type;
}

const start = { vm: VM, guestRuns: true };
const SOLO = initialState({ ...start, me: A, register: solo(1, A) }, () => FRESH).state;
const SYNC = after(SOLO, { type: 'protect-requested', snapshot: 5 }).state;
const fullAcked: HostEvent = { type: 'full-acked', generation: 2, epoch: 5, from: B };
const SRES = after(SYNC, fullAcked).state;
const PROT = after(SRES, read(pair(2, A, B))).state;
const suspicion: HostEvent = { type: 'suspect-peer', reason: 'silent' };
const PRES = after(PROT, suspicion).state;
const JOIN = emptyState(VM, B);
const full: HostEvent = {
  type: 'full-received',
  generation: 2,
  epoch: 5,
  from: A,
  to: B.incarnation,
};
const BACK = after(JOIN, full).state;
const FROZ = after(BACK, suspicion).state;
const HALT = after(PRES, read(solo(3, B))).state;
const ALL = { PROT, PRES, SOLO, SYNC, SRES, BACK, FROZ, HALT, JOIN };
const ack = (epoch: number, generation = 2, from = B): HostEvent => ({
  type: 'ack',
  generation,
  epoch,
  incarnation: from.incarnation,
});
const committed = (epoch: number, generation = 2): HostEvent => ({
  type: 'checkpoint-committed',
  generation,
  epoch,
});

test('each state is reached by its own way', t => {
  for (const [name, state] of Object.entries(ALL)) t.is(state.name as string, name);
});

test('an owner opens; protection holds before anything else, and releases up to the copy', t => {
  t.is(releasable(SOLO), Number.POSITIVE_INFINITY);
  t.deepEqual(after(SOLO, { type: 'protect-requested', snapshot: 5 }).did, ['hold 6']);
  t.is(releasable(SYNC), 5);
  t.deepEqual(after(SYNC, fullAcked).did, ['swap pair 1']);
  t.is(releasable(SRES), 5);
});

test('only the ack of this copy for the next generation counts in SYNC', t => {
  for (const wrong of [{ generation: 1 }, { epoch: 4 }, { epoch: 6 }, { from: A }]) {
    const event = { ...fullAcked, ...wrong } as HostEvent;
    t.is(after(SYNC, event).state, SYNC);
  }
});

test('giving up opens in SYNC, and comes too late in SRES', t => {
  const gaveUp = after(SYNC, { type: 'give-up', reason: 'slow' });
  t.is(gaveUp.state.name, 'SOLO');
  t.deepEqual(gaveUp.did, ['open']);
  t.is(after(SYNC, suspicion).state.name, 'SOLO');
  t.is(after(SRES, { type: 'give-up', reason: 'slow' }).state, SRES);
  const again = { type: 'protect-requested', snapshot: 5 } as const;
  t.throws(() => after(gaveUp.state, again), { message: /was used/ });
});

test('SRES waits for its pair, and a suspicion meanwhile is acted on afterwards', t => {
  t.is(after(SRES, read(solo(1, A))).state, SRES);
  t.deepEqual(after(SRES, { type: 'retry' }).did, ['swap pair 1']);
  t.is(after(SRES, read(pair(2, A, B))).state.name, 'PROT');
  const other = { ...B, incarnation: identity(3) };
  t.is(after(SRES, read(pair(2, A, other))).state.name, 'HALT');
  const suspected = after(SRES, suspicion, read(pair(2, A, B)));
  t.is(suspected.state.name, 'PRES');
  t.deepEqual(suspected.did, ['swap solo-by-primary 2']);
});

test('acks that come before the pair count once it exists', t => {
  const early = after(SRES, ack(7));
  t.deepEqual(early.did, []);
  t.is(releasable(early.state), 5);
  t.deepEqual(after(early.state, read(pair(2, A, B))).did, ['release 7']);
});

test('output leaves with an ack of this generation by this incarnation, and no other', t => {
  t.deepEqual(after(PROT, ack(6)).did, ['release 6']);
  t.deepEqual(after(PROT, ack(8), ack(7)).did, []);
  t.is(releasable(after(PROT, ack(8), ack(7)).state), 8);
  t.is(after(PROT, ack(6, 1)).state, PROT);
  t.is(after(PROT, ack(6, 2, { ...B, incarnation: identity(3) })).state, PROT);
  t.deepEqual(after(PRES, ack(6)).did, ['release 6']);
  t.deepEqual(after(HALT, ack(6)).did, []);
});

test('a primary that suspects asks, and never goes back', t => {
  t.deepEqual(after(PROT, suspicion).did, ['swap solo-by-primary 2']);
  t.deepEqual(after(PRES, { type: 'retry' }).did, ['swap solo-by-primary 2']);
  t.is(after(PRES, read(pair(2, A, B))).state, PRES);
  t.is(after(PRES, read(null)).state, PRES);
  const granted = after(PRES, read(solo(3, A)));
  t.is(granted.state.name, 'SOLO');
  t.is(granted.state.generation, 3);
  t.deepEqual(granted.did, ['open']);
  const otherLife = { ...A, incarnation: identity(9) };
  t.is(after(PRES, read(solo(3, otherLife))).state.name, 'HALT');
});

test('a suspicion about another connection means nothing', t => {
  t.is(after(PROT, { ...suspicion, incarnation: identity(3) }).state, PROT);
  t.is(after(PROT, { ...suspicion, incarnation: B.incarnation }).state.name, 'PRES');
});

test('who lost stops the guest, drops the output and begins a new life', t => {
  const lost = after(PRES, read(solo(3, B)));
  t.deepEqual(lost.did, ['stop-guest', 'discard-output']);
  t.is(releasable(lost.state), -1);
  t.deepEqual(after(HALT, { type: 'retry' }).did, ['stop-guest', 'discard-output']);
  const joined = after(HALT, { type: 'guest-stopped' });
  t.deepEqual(joined.did, ['drop-state']);
  t.deepEqual(joined.state, emptyState(VM, { host: 'a', incarnation: FRESH }));
  t.deepEqual(after(SOLO, read(solo(2, B))).did, ['hold null', 'stop-guest', 'discard-output']);
});

test('a primary whose guest is lost asks for nothing and leaves the field', t => {
  for (const state of [PROT, PRES, SYNC, SRES]) {
    const left = after(state, { type: 'guest-lost', reason: 'QEMU ended' });
    t.is(left.state.name, 'HALT');
    t.deepEqual(left.did, ['stop-guest', 'discard-output']);
  }
});

test('an empty host takes only a copy addressed to this life', t => {
  t.deepEqual(after(JOIN, full).did, ['send-ack 5']);
  t.is(after(JOIN, { ...full, to: identity(3) } as HostEvent).state, JOIN);
  t.deepEqual(after(BACK, full).did, ['send-ack 5']);
  t.deepEqual(after(FROZ, full).did, []);
});

test('a backup takes exactly the next checkpoint of its primary', t => {
  const header = { generation: 2, epoch: 6, from: A, to: B.incarnation };
  t.true(acceptsCheckpoint(BACK, header));
  for (const wrong of [{ generation: 3 }, { epoch: 5 }, { epoch: 7 }, { from: B }, { to: FRESH }])
    t.false(acceptsCheckpoint(BACK, { ...header, ...wrong }));
  t.false(acceptsCheckpoint(FROZ, header));
});

test('a backup acks what is committed; frozen it acks nothing, but counts it', t => {
  t.deepEqual(after(BACK, committed(6)).did, ['send-ack 6']);
  t.deepEqual(after(BACK, committed(6), committed(5)).did, ['send-ack 6']);
  t.is(after(BACK, committed(6, 1)).state, BACK);
  t.throws(() => after(BACK, committed(7)), { message: /gap/ });
  const late = after(FROZ, committed(6));
  t.deepEqual(late.did, []);
  t.deepEqual(after(late.state, read(solo(3, B))).did, ['resume-guest 6']);
});

test('a backup freezes before it asks, and resumes only on its own grant', t => {
  t.deepEqual(after(BACK, suspicion).did, ['swap solo-by-backup 2']);
  t.deepEqual(after(FROZ, { type: 'retry' }).did, ['swap solo-by-backup 2']);
  t.is(after(FROZ, read(pair(2, A, B))).state, FROZ);
  const granted = after(FROZ, read(solo(3, B)));
  t.deepEqual(granted.did, ['resume-guest 5']);
  t.is(releasable(granted.state), -1);
  const running = after(granted.state, { type: 'resumed' });
  t.deepEqual(running.did, ['open']);
  t.is(releasable(running.state), Number.POSITIVE_INFINITY);
  t.is(after(FROZ, read(solo(3, A))).state.name, 'JOIN');
  t.is(after(FROZ, read(solo(3, { ...B, incarnation: identity(3) }))).state.name, 'JOIN');
});

test('a resume that failed is tried again from the same checkpoint', t => {
  const granted = after(FROZ, read(solo(3, B))).state;
  t.is(after(granted, { type: 'retry' }).state, granted);
  const failed = after(granted, { type: 'guest-lost', reason: 'no such device' });
  t.is(failed.state.name, 'SOLO');
  t.true(unresolved(failed.state));
  t.deepEqual(after(failed.state, { type: 'retry' }).did, ['discard-output', 'resume-guest 5']);
});

test('a copy that was never paired is dropped on the answer to its question, not on a read', t => {
  const request = { vm: VM, generation: 2, transition: 'solo-by-backup', by: B } as const;
  t.is(after(FROZ, read(solo(1, A))).state, FROZ);
  const refused = after(FROZ, { type: 'swap-answered', request, register: solo(1, A) });
  t.is(refused.state.name, 'JOIN');
  t.deepEqual(refused.did, ['drop-state']);
});

test('who asked twice keeps an unpaired copy until its primary asks to be admitted again', t => {
  const request = { vm: VM, generation: 2, transition: 'solo-by-backup', by: B } as const;
  const refused: HostEvent = { type: 'swap-answered', request, register: solo(1, A) };
  const { state } = after(FROZ, { type: 'retry' }, refused);
  t.is(state.name, 'FROZ');
  t.is(after(state, read(solo(3, B))).state.name, 'SOLO', 'the second question was granted');
  const hello = { type: 'never-paired', generation: 1, epoch: state.committed, from: A } as const;
  t.is(after(state, hello).state.name, 'JOIN');
  const others: HostEvent[] = [
    { ...hello, generation: 2 },
    { ...hello, epoch: state.committed - 1 },
    { ...hello, from: { host: 'a', incarnation: identity(7) } },
  ];
  for (const other of others) t.is(after(state, other).state, state);
});

test('a backup that is not named any more drops its state', t => {
  const other: Owner = { host: 'c', incarnation: identity(5) };
  t.is(after(BACK, read(solo(3, A))).state.name, 'JOIN');
  t.is(after(BACK, read(pair(2, A, other))).state.name, 'JOIN');
  t.is(after(BACK, read(solo(1, A))).state, BACK);
  t.is(after(BACK, read(pair(2, A, B))).state, BACK);
});

test('what cannot come from outside is an assertion, what can is ignored', t => {
  for (const state of [PROT, PRES, SYNC, SRES, BACK, FROZ])
    t.throws(() => after(state, { type: 'protect-requested', snapshot: 9 }));
  for (const state of [PROT, PRES, SOLO, SYNC, SRES]) t.throws(() => after(state, committed(6)));
  const outside = [ack(6), full, fullAcked, read(null), { type: 'resumed' }] as HostEvent[];
  for (const state of Object.values(ALL))
    for (const event of outside) t.notThrows(() => after(state, event));
});

test('a doubt reads the register where there is something to lose', t => {
  for (const state of Object.values(ALL)) {
    const { did } = after(state, { type: 'doubt', reason: 'a long pause' });
    t.deepEqual(did, state === HALT || state === JOIN ? [] : ['read-register']);
  }
});

function started(options: Partial<Parameters<typeof initialState>[0]>): string {
  const base = { vm: VM, me: A, register: null, guestRuns: true };
  const step = initialState({ ...base, ...options }, () => FRESH);
  const did = step.actions.filter(action => action.type !== 'notify').map(words);
  return [step.state.name, ...did].join(', ');
}

test('the first state follows from the register', t => {
  t.is(started({ register: solo(1, A) }), 'SOLO, open');
  t.is(started({ register: pair(2, A, B) }), 'PRES, swap solo-by-primary 2');
  t.is(started({ register: solo(3, B) }), 'HALT, stop-guest, discard-output');
  t.is(started({ register: solo(3, B), guestRuns: false }), 'JOIN, drop-state');
  t.is(started({ register: pair(2, A, B), me: B, guestRuns: false, committed: 5 }), 'BACK');
  t.is(started({ register: pair(2, A, B), me: B, guestRuns: false }), 'JOIN, drop-state');
  t.is(started({ guestRuns: false }), 'JOIN, drop-state');
  t.throws(() => started({}), { code: 'CURLING_REGISTER' });
  t.deepEqual(createRequest(VM, A), { vm: VM, generation: 0, transition: 'create', by: A });
});

test('a guest that is gone is not resumed by guessing', t => {
  const gone = { guestRuns: false, committed: 5 };
  t.regex(started({ ...gone, register: solo(1, A) }), /^HALT/);
  t.regex(started({ ...gone, register: pair(2, A, B) }), /^HALT/);
});

test('a pair that may still be on its way is waited for after a restart', t => {
  const request = { vm: VM, generation: 1, transition: 'pair', by: A, backup: B } as const;
  const unresolvedPair = { request, snapshot: 5 };
  t.is(started({ register: solo(1, A), unresolvedPair }), 'SRES, swap pair 1');
  t.is(started({ register: solo(3, A), unresolvedPair }), 'SOLO, open');
});

const HELD_START = { ...start, me: A, register: solo(1, A), onBackupLoss: 'hold' } as const;
const HELD = initialState(HELD_START, () => FRESH).state;

test('under hold a grant to run alone opens nothing, and what was held leaves with the next pair', t => {
  t.deepEqual(
    initialState(HELD_START, () => FRESH)
      .actions.filter(a => a.type !== 'notify')
      .map(words),
    ['hold null', 'end-protection'],
  );
  t.is(releasable(HELD), -1);
  const copied = after(HELD, { type: 'protect-requested', snapshot: 5 });
  t.deepEqual(copied.did, ['hold 6']);
  t.is(releasable(copied.state), -1);
  const asked = after(copied.state, fullAcked);
  t.is(releasable(asked.state), -1, 'the pair may never be');
  const paired = after(asked.state, read(pair(2, A, B)));
  t.deepEqual([paired.state.name, paired.did], ['PROT', ['release 5']]);
  const alone = after(paired.state, ack(6), suspicion, read(solo(3, A)));
  t.deepEqual([alone.state.name, alone.state.held, alone.did], ['SOLO', true, ['end-protection']]);
  t.is(releasable(alone.state), 6, 'what was acknowledged may be on its way');
  const failed = after(copied.state, { type: 'give-up', reason: 'full' });
  t.deepEqual([failed.state.held, failed.did], [true, ['end-protection']]);
});

test('under hold a backup that takes over says nothing, until the operator accepts it', t => {
  const empty = emptyState(VM, B, 'hold');
  const granted = after(empty, full, suspicion, read(solo(3, B)));
  t.deepEqual(granted.did, ['resume-guest 5']);
  const runs = after(granted.state, { type: 'resumed' });
  t.deepEqual([runs.state.running, runs.state.held, runs.did], [true, true, []]);
  const opened = after(runs.state, { type: 'open-requested' });
  t.deepEqual([opened.state.held, opened.did], [false, ['open']]);
  t.is(releasable(opened.state), Number.POSITIVE_INFINITY);
  const early = after(granted.state, { type: 'open-requested' });
  t.deepEqual(early.did, []);
  t.deepEqual(after(early.state, { type: 'resumed' }).did, ['open']);
  t.deepEqual(after(SOLO, { type: 'open-requested' }).did, [], 'it is open');
});

test('hold and continue are the same to everybody who has a backup', t => {
  t.is(after(emptyState(VM, B, 'hold'), full).state.held, false);
  const dropped = after(emptyState(VM, B, 'hold'), full, read(solo(9, A))).state;
  t.is(dropped.onBackupLoss, 'hold', 'a new life has the same policy');
});

test('a machine that was forgotten and created anew ends its former life', t => {
  for (const { from, to } of MISTAKES) {
    const state = ALL[from as keyof typeof ALL];
    t.is(after(state, read(solo(9, B))).state.name, to);
  }
});
