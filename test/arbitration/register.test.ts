import test from 'ava';
import fc from 'fast-check';
import {
  applyTransition,
  type Owner,
  type Register,
  type SwapRequest,
  type Transition,
} from '../../coordinator/arbitration/register.ts';
import {
  parseOwner,
  parseRegister,
  parseSwapRequest,
} from '../../coordinator/arbitration/register-json.ts';

const STORE = '0'.repeat(31).concat('1');
const owner = (host: string, life: number): Owner => ({
  host,
  incarnation: life.toString(16).padStart(32, '0'),
});
const P = owner('p', 1);
const B = owner('b', 2);
const SOLO: Register = {
  store: STORE,
  vm: 'vm',
  generation: 4,
  mode: 'SOLO',
  primary: P,
  backup: null,
};
const PAIR: Register = { ...SOLO, generation: 5, mode: 'PAIR', backup: B };

function request(transition: Transition, generation: number, by: Owner, backup?: Owner) {
  const base: SwapRequest = { vm: 'vm', generation, transition, by };
  return backup ? { ...base, backup } : base;
}

test('the four transitions, and what they make', t => {
  const created = applyTransition(null, request('create', 0, P), STORE);
  t.deepEqual(created, { swapped: true, register: { ...SOLO, generation: 1 } });
  const paired = applyTransition(SOLO, request('pair', 4, P, B), STORE);
  t.deepEqual(paired, { swapped: true, register: PAIR });
  const byPrimary = applyTransition(PAIR, request('solo-by-primary', 5, P), STORE);
  t.deepEqual(byPrimary, { swapped: true, register: { ...SOLO, generation: 6 } });
  const byBackup = applyTransition(PAIR, request('solo-by-backup', 5, B), STORE);
  t.deepEqual(byBackup, { swapped: true, register: { ...SOLO, generation: 6, primary: B } });
});

test('a register created after one that was forgotten goes on above it', t => {
  const create = request('create', 0, B);
  const created = applyTransition(null, create, STORE, 6);
  t.deepEqual(created, { swapped: true, register: { ...SOLO, generation: 7, primary: B } });
  const refused = { swapped: false, register: null };
  for (const generation of [0, 5, 6, 7]) {
    t.deepEqual(applyTransition(null, request('pair', generation, P, B), STORE, 6), refused);
    const late = request('solo-by-backup', generation, B);
    t.deepEqual(applyTransition(null, late, STORE, 6), refused);
  }
  t.deepEqual(applyTransition(null, create, STORE, Number.MAX_SAFE_INTEGER), refused);
});

const REFUSED: [string, Register | null, SwapRequest][] = [
  ['create over an existing one', SOLO, request('create', 0, P)],
  ['anything but create on nothing', null, request('pair', 0, P, B)],
  ['pair by another host', SOLO, request('pair', 4, B, P)],
  ['pair by another life of the host', SOLO, request('pair', 4, owner('p', 9), B)],
  ['pair with itself', SOLO, request('pair', 4, P, owner('p', 9))],
  ['pair without a backup', SOLO, request('pair', 4, P)],
  ['pair of a pair', PAIR, request('pair', 5, P, B)],
  ['solo of a solo', SOLO, request('solo-by-primary', 4, P)],
  ['solo by another life of the primary', PAIR, request('solo-by-primary', 5, owner('p', 9))],
  ['solo by another life of the backup', PAIR, request('solo-by-backup', 5, owner('b', 9))],
  ['solo by the primary as the backup', PAIR, request('solo-by-backup', 5, P)],
  ['an older generation', PAIR, request('solo-by-primary', 4, P)],
  ['a newer generation', PAIR, request('solo-by-primary', 6, P)],
];

for (const [what, register, swap] of REFUSED) {
  test(`refused: ${what}`, t => {
    t.deepEqual(applyTransition(register, swap, STORE), { swapped: false, register });
  });
}

const anyOwner = fc.constantFrom(P, B, owner('p', 3), owner('b', 4), owner('c', 5));
const anyRequest = fc.record({
  transition: fc.constantFrom<Transition>('create', 'pair', 'solo-by-primary', 'solo-by-backup'),
  behind: fc.integer({ min: 0, max: 1 }),
  by: anyOwner,
  backup: anyOwner,
});

test('whatever is asked, generations grow by one and each has one register', t => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 40 }), asked => {
      let register: Register | null = null;
      for (const { transition, behind, by, backup } of asked) {
        const generation = Math.max(0, (register?.generation ?? 0) - behind);
        const before: Register | null = register;
        const result = applyTransition(before, request(transition, generation, by, backup), STORE);
        if (!result.swapped) t.is(result.register, before);
        else t.is(result.register?.generation, (before?.generation ?? 0) + 1);
        if (result.register) t.deepEqual(parseRegister(result.register), result.register);
        register = result.register;
      }
    }),
    { numRuns: 300 },
  );
});

const CODE = { code: 'CURLING_REGISTER' };

test('registers, owners and requests from outside are checked member by member', t => {
  t.deepEqual(parseRegister(JSON.parse(JSON.stringify({ ...PAIR, more: 1 }))), PAIR);
  t.throws(() => parseRegister(null), CODE);
  t.throws(() => parseRegister({ ...PAIR, backup: null }), CODE);
  t.throws(() => parseRegister({ ...SOLO, backup: B }), CODE);
  t.throws(() => parseRegister({ ...SOLO, generation: 0 }), CODE);
  t.throws(() => parseRegister({ ...SOLO, generation: 2 ** 53 }), CODE);
  t.throws(() => parseRegister({ ...SOLO, mode: 'DUO' }), CODE);
  t.throws(() => parseOwner('by', { host: 'a b', incarnation: P.incarnation }), CODE);
  t.throws(() => parseOwner('by', { host: 'a', incarnation: 'F'.repeat(32) }), CODE);
  t.throws(() => parseOwner('by', { host: 'x'.repeat(65), incarnation: P.incarnation }), CODE);
  const swap = request('pair', 4, P, B);
  t.deepEqual(parseSwapRequest({ ...swap }), swap);
  t.throws(() => parseSwapRequest({ ...swap, transition: 'steal' }), CODE);
  t.throws(() => parseSwapRequest({ ...swap, backup: undefined }), CODE);
  t.throws(() => parseSwapRequest({ ...swap, backup: owner('p', 7) }), CODE);
  t.throws(() => parseSwapRequest({ ...swap, transition: 'solo-by-backup' }), CODE);
  t.throws(() => parseSwapRequest({ ...swap, generation: 0 }), CODE);
  t.throws(() => parseSwapRequest({ ...request('create', 1, P) }), CODE);
});

test('any JSON is either a register or a coded error', t => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      t.throws(() => parseRegister(value), CODE);
    }),
    { numRuns: 200 },
  );
});
