import { EventEmitter } from 'node:events';
import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { emptyState, type HostStateName } from '../../coordinator/arbitration/host-state.ts';
import type { SwapRequest, Transition } from '../../coordinator/arbitration/register.ts';
import { type DecisionModules, Decisions } from '../../coordinator/decisions.ts';

const ME = { host: 'a', incarnation: '1'.repeat(32) };

function request(transition: Transition): SwapRequest {
  return { vm: 'vm', generation: 3, transition, by: ME };
}

/** Decisions between doubles that write down what is done. */
function setUp(options: {
  gateway?: boolean;
  state?: HostStateName;
  witness?: () => Promise<unknown>;
}) {
  const did: string[] = [];
  const answer = options.witness ?? (() => Promise.resolve({ swapped: false, register: null }));
  const gateway = Object.assign(new EventEmitter(), {
    reachable: options.gateway ?? true,
    text: 'gateway 10.0.0.1 does not answer',
    probe: () => did.push('probe'),
  });
  const said = (what: string) => () => {
    did.push(what);
    return answer();
  };
  const modules = {
    log: { fatal: () => did.push('fatal') },
    witness: { swap: said('swap'), read: said('read') },
    identity: { setUnresolvedPair: () => did.push('note') },
    stopAt: () => {},
    gateway: options.gateway === undefined ? undefined : gateway,
    state: () => ({ ...emptyState('vm', ME), name: options.state ?? 'PRES' }),
    dispatch: (event: { type: string }) => did.push(event.type),
    trouble: (trouble: string, text: string | null) => did.push(`${trouble}: ${text}`),
    again: () => did.push('again'),
  };
  const decisions = new Decisions(modules as unknown as DecisionModules);
  return { decisions, gateway, did, settled: () => new Promise(setImmediate) };
}

for (const transition of ['solo-by-primary', 'solo-by-backup'] as const) {
  test(`${transition} is asked for only by a host that a gateway answers`, async t => {
    const { decisions, gateway, did, settled } = setUp({ gateway: false });
    decisions.swap(request(transition));
    await settled();
    const text = 'gateway 10.0.0.1 does not answer; nothing is asked for';
    const unasked = [
      'probe',
      `gateway: ${text}`,
      'again',
      'read',
      'witness: null',
      'register-read',
    ];
    t.deepEqual(did.splice(0), unasked);
    gateway.reachable = true;
    decisions.swap(request(transition));
    await settled();
    t.deepEqual(did, ['gateway: null', 'swap', 'witness: null', 'swap-answered']);
  });
}

test('a gateway that is back is a reason to ask at once, where something is asked', t => {
  for (const [state, retried] of [
    ['PRES', ['retry']],
    ['FROZ', ['retry']],
    ['SOLO', []],
    ['BACK', []],
  ] as const) {
    const { gateway, did } = setUp({ gateway: false, state });
    gateway.emit('change', false);
    gateway.reachable = true;
    gateway.emit('change', true);
    const events = did.filter(what => what !== 'gateway: null');
    t.deepEqual(events, [...retried]);
  }
});

test('a pair needs no gateway, and is noted before it is asked for', async t => {
  const { decisions, did, settled } = setUp({ gateway: false });
  decisions.swap(request('pair'));
  await settled();
  t.deepEqual(did, ['note', 'swap', 'witness: null', 'swap-answered']);
});

test('without an answer it is asked again, and said until there is one', async t => {
  const error = new CurlingError('CURLING_WITNESS_UNREACHABLE', 'no answer');
  const { decisions, did, settled } = setUp({ witness: () => Promise.reject(error) });
  decisions.swap(request('solo-by-primary'));
  await settled();
  t.deepEqual(did, ['gateway: null', 'swap', 'witness: no answer', 'again']);
});
