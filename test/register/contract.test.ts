/**
 * What every store of registers must do, however it is reached. The same tests run against the
 * real programs, and against a store in memory that shows what is meant.
 */
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { CurlingError } from '../../common/errors.ts';
import type { RegisterSource } from '../../coordinator/arbitration/backend.ts';
import {
  applyTransition,
  type Owner,
  type Register,
  type SwapRequest,
  type SwapResult,
  type Transition,
} from '../../coordinator/arbitration/register.ts';
import { HAS_ETCD } from '../../lab/etcd.ts';
import { BRIEF } from '../effort.ts';
import { create as createVm, owner } from '../witness/support.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { type OpenOptions, RIGS, type Rig } from './rigs.ts';

/** Where it counts, a missing etcd is a failure. */
const WANTED = HAS_ETCD || process.env.CI !== undefined;

const A = owner('a', 1);
const B = owner('b', 2);
const STRANGERS = [owner('a', 3), owner('b', 4), owner('c', 1)];
const TRANSITIONS: Transition[] = ['create', 'pair', 'solo-by-primary', 'solo-by-backup'];
const ROUNDS = BRIEF ? 10 : 200;
const LOST = { code: 'CURLING_WITNESS_STORE', message: /lost its memory/ };
const UNREACHABLE = { code: 'CURLING_WITNESS_UNREACHABLE' };

const create = (vm: string, by = A): SwapRequest => ({ ...createVm, vm, by });

const pair = (vm: string, generation: number, by = A, backup = B): SwapRequest => ({
  ...{ vm, generation, transition: 'pair', by, backup },
});

const solo = (vm: string, generation: number, by: Owner, role: 'primary' | 'backup') =>
  ({ vm, generation, transition: `solo-by-${role}`, by }) as const;

/** Every request that A, B and others could make in a generation. */
function allRequests(vm: string, generation: number): SwapRequest[] {
  const owners = [A, B, ...STRANGERS];
  return owners.flatMap(by =>
    TRANSITIONS.flatMap((transition): SwapRequest[] => {
      if ((transition === 'create') !== (generation === 0)) return [];
      if (transition !== 'pair') return [{ vm, generation, transition, by }];
      const others = owners.filter(({ host }) => host !== by.host);
      return others.map(backup => ({ vm, generation, transition, by, backup }));
    }),
  );
}

for (const [kind, makeRig] of Object.entries(RIGS)) {
  const check = kind.startsWith('etcd') && !WANTED ? test.serial.skip : test.serial;
  let shared: Rig | undefined;

  test.after.always(`${kind}: end`, async () => shared?.close());

  /** The store that tests share which do not harm it. */
  async function sharedRig(): Promise<Rig> {
    shared ??= await makeRig();
    return shared;
  }

  async function ownRig(t: ExecutionContext): Promise<Rig> {
    const rig = await makeRig();
    t.teardown(() => rig.close());
    return rig;
  }

  function open(t: ExecutionContext, rig: Rig, options?: OpenOptions): RegisterSource {
    const source = rig.open(options);
    t.teardown(() => source.close());
    return source;
  }

  check(`${kind}: what is granted and refused is what the rule says`, async t => {
    const source = open(t, await sharedRig());
    const store = await source.storeId();
    let register = null as Register | null;
    const ask = async (request: SwapRequest): Promise<SwapResult> => {
      const expected = applyTransition(register, request, store);
      const answer = await source.swap(request);
      t.deepEqual(answer, expected);
      register = expected.register;
      return answer;
    };
    const path = [
      create('rule'),
      pair('rule', 1),
      solo('rule', 2, B, 'backup'),
      pair('rule', 3, B, A),
      solo('rule', 4, B, 'primary'),
    ];
    t.is(await source.read('rule'), null);
    for (const step of path) {
      const now = register;
      const last = now?.generation ?? 0;
      const refused = [...new Set([0, last, last + 1])]
        .flatMap(generation => allRequests('rule', generation))
        .filter(request => !applyTransition(now, request, store).swapped);
      for (const request of BRIEF ? refused.slice(0, 5) : refused) await ask(request);
      t.true((await ask(step)).swapped);
      t.deepEqual(await source.read('rule'), register);
    }
    t.like(register, { generation: 5, mode: 'SOLO', primary: B, backup: null, store });
  });

  check(`${kind}: of all who ask for a generation at once, exactly one gets it`, async t => {
    const rig = await sharedRig();
    const sources = [0, 1, 2].map(() => open(t, rig));
    const winners = new Map<number, number>();
    let now = (await sources[0]!.swap(create('race'))).register!;
    for (let round = 0; round < ROUNDS; round++) {
      const { generation, primary } = now;
      const other = primary.host === 'a' ? B : A;
      const requests =
        now.mode === 'SOLO'
          ? [primary, primary, primary].map((by, life) =>
              pair('race', generation, by, { ...other, incarnation: `${life}`.repeat(32) }),
            )
          : [
              solo('race', generation, primary, 'primary'),
              solo('race', generation, now.backup!, 'backup'),
              solo('race', generation, primary, 'primary'),
            ];
      const order = round % 2 === 0 ? sources : [...sources].reverse();
      const answers = await Promise.all(
        order.map((source, index) => source.swap(requests[index]!)),
      );
      winners.set(generation, answers.filter(({ swapped }) => swapped).length);
      for (const { register } of answers) t.deepEqual(register, answers[0]!.register);
      now = answers[0]!.register!;
      t.is(now.generation, generation + 1);
    }
    t.is(winners.size, ROUNDS);
    t.deepEqual(
      [...winners.values()].filter(count => count !== 1),
      [],
    );
  });

  check(`${kind}: an answer that is lost is an unknown outcome, and a read tells`, async t => {
    const rig = await sharedRig();
    const proxy = rig.port === undefined ? undefined : await CuttingProxy.open(rig.port);
    t.teardown(() => proxy?.close());
    const source = open(t, rig, proxy ? { port: proxy.port } : {});
    t.is(await source.read('cut'), null);
    const requests = [create('cut'), pair('cut', 1), solo('cut', 2, A, 'primary')];
    for (const [index, request] of requests.entries()) {
      if (proxy) proxy.cutAnswer(rig.questionsOfSwap);
      else rig.loseAnswer!();
      await t.throwsAsync(source.swap(request), UNREACHABLE);
      if (proxy) t.is(proxy.cuts, index + 1);
      const register = await patiently(() => source.read('cut'));
      t.is(register?.generation, index + 1, 'it was delivered');
      t.deepEqual(register?.primary, A);
      t.deepEqual(await source.swap(request), { swapped: false, register: register! });
    }
  });

  check(`${kind}: a forgotten register is absent, and its generations go on`, async t => {
    const rig = await sharedRig();
    const source = open(t, rig);
    await source.swap(create('old'));
    await source.swap(pair('old', 1));
    await rig.forget('old');
    t.is(await patiently(() => source.read('old')), null);
    for (const generation of [1, 2, 3, 4])
      for (const late of [
        solo('old', generation, A, 'primary'),
        solo('old', generation, B, 'backup'),
      ])
        t.deepEqual(await source.swap(late), { swapped: false, register: null });
    const { swapped, register } = await source.swap(create('old', B));
    t.true(swapped);
    t.like(register, { generation: 4, mode: 'SOLO', primary: B });
    await t.notThrowsAsync(open(t, rig).read('old'));
  });

  check(`${kind}: another store than expected is refused`, async t => {
    const rig = await sharedRig();
    const id = await open(t, rig).storeId();
    t.is(await open(t, rig, { store: id }).read('other'), null);
    const source = open(t, rig, { store: 'b'.repeat(32), requestTimeoutMs: 2_000 });
    await t.throwsAsync(source.read('other'), LOST);
    await t.throwsAsync(source.swap(create('other')), LOST);
    t.is(await open(t, rig).read('other'), null, 'nothing was done');
  });

  check(`${kind}: many machines at once do not disturb each other`, async t => {
    t.timeout(240_000);
    const rig = await sharedRig();
    // Two connections of each: as many machines as a witness may well have.
    const machines = BRIEF ? 10 : kind === 'curling-witness' ? 500 : 250;
    const names = Array.from({ length: machines }, (_, index) => `many-${index}`);
    const hosts = names.map(vm => ({ vm, a: open(t, rig), b: open(t, rig) }));
    await Promise.all(hosts.map(({ vm, a }) => a.swap(create(vm))));
    await Promise.all(hosts.map(({ vm, a }) => a.swap(pair(vm, 1))));
    const races = hosts.map(async ({ vm, a, b }) => {
      const answers = await Promise.all([
        a.swap(solo(vm, 2, A, 'primary')),
        b.swap(solo(vm, 2, B, 'backup')),
      ]);
      return answers.filter(({ swapped }) => swapped).length;
    });
    t.deepEqual(new Set(await Promise.all(races)), new Set([1]));
    const registers = await Promise.all(hosts.map(({ vm, b }) => b.read(vm)));
    for (const [index, register] of registers.entries())
      t.like(register, { vm: names[index], generation: 3, mode: 'SOLO' });
  });

  check(`${kind}: down it is an error in time; back, it knows what it knew`, async t => {
    const rig = await ownRig(t);
    const source = open(t, rig);
    const impatient = open(t, rig, { requestTimeoutMs: 1_000 });
    await source.swap(create('vm'));
    const { register } = await source.swap(pair('vm', 1));
    await impatient.read('vm');
    t.true(impatient.connected);
    t.is(impatient.lastError, undefined);
    await rig.stop();
    await t.throwsAsync(impatient.read('vm'), UNREACHABLE);
    await t.throwsAsync(impatient.swap(solo('vm', 2, A, 'primary')), UNREACHABLE);
    t.false(impatient.connected);
    t.like(impatient.lastError, UNREACHABLE);
    t.true(impatient.counters.failures >= 2);
    await rig.start();
    t.deepEqual(await patiently(() => source.read('vm')), register);
    t.true(source.connected);
    source.close();
    await t.throwsAsync(source.read('vm'), UNREACHABLE);
  });

  check(`${kind}: a store that lost its memory decides nothing`, async t => {
    const rig = await ownRig(t);
    const source = open(t, rig);
    await source.swap(create('vm'));
    await rig.stop();
    rig.keep();
    await rig.start();
    await patiently(() => source.swap(pair('vm', 1)));
    t.is((await source.read('vm'))?.generation, 2);
    await rig.stop();
    rig.putBack();
    await rig.start();
    await t.throwsAsync(
      patiently(() => source.read('vm')),
      { ...LOST, message: /generation 1 of vm, which was at 2/ },
    );
    await rig.stop();
    await rig.renew();
    await rig.start();
    await t.throwsAsync(
      patiently(() => source.read('vm')),
      { ...LOST, message: /lost its memory: its store is/ },
    );
    await t.throwsAsync(source.swap(create('vm', B)), LOST);
    t.is(await open(t, rig).read('vm'), null, 'nothing was done');
  });

  if (kind !== 'memory')
    check(`${kind}: garbage in the place of answers is an error, and no answer`, async t => {
      const rig = await sharedRig();
      for (const garbage of ['\x00\xff\x16\x03', 'no such thing\n', '{"QMP":5}\n', '[]\n']) {
        const server = net.createServer(socket => {
          socket.on('error', () => {});
          socket.write(garbage);
          socket.on('data', () => socket.write(garbage));
          t.teardown(() => socket.destroy());
        });
        await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
        t.teardown(() => server.close());
        const { port } = server.address() as net.AddressInfo;
        const source = open(t, rig, { port, requestTimeoutMs: 300 });
        await t.throwsAsync(source.read('vm'), UNREACHABLE);
        await t.throwsAsync(source.swap(create('vm')), UNREACHABLE);
      }
    });
}

/** What `work` gives once the store is reached again. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const { code } = error as CurlingError;
      if (code !== UNREACHABLE.code || performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
