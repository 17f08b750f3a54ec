/** A guest that writes its memory faster than it is copied: seen as that, and caught up with when it may be slowed. */
import test from 'ava';
import { isLosing, queryCopy } from '../../coordinator/qemu/copy-progress.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { differentPages } from './guest-memory.ts';
import { Replica, type ReplicaOptions } from './replica.ts';

/** Slower than any guest writes that is not slowed by nearly all. */
const BANDWIDTH = 32 << 20;
const COLO = { maxBandwidth: BANDWIDTH, downtimeLimitMs: 100 };
const GUEST: ReplicaOptions = { workload: ['dirty=20000:24'] };
const LAST_PASSES = 4;

test('a full copy does not catch up with a guest that writes faster, unless it is slowed (needs qemu)', async t => {
  t.timeout(180_000);
  const throttled = { ...GUEST, colo: { ...COLO, throttleMax: 99 } };
  for (const options of [{ ...GUEST, colo: COLO }, throttled]) {
    let made: Replica | undefined;
    try {
      const replica = await Replica.start(it => {
        made = it;
      }, options);
      if (options === throttled) await catchesUp(replica);
      else await losesAlways(replica);
    } finally {
      await made?.remove();
    }
  }

  async function losesAlways(replica: Replica): Promise<void> {
    let copied = false;
    replica.fullCopy().then(
      () => {
        copied = true;
      },
      () => {},
    );
    const lost = async () => {
      const progress = await queryCopy(replica.qmp);
      return progress !== undefined && progress.pass > LAST_PASSES && isLosing(progress);
    };
    await untilHolds(lost, 'a guest that is not caught up with', 60_000, 100);
    t.is((await queryCopy(replica.qmp))!.throttlePercent, 0);
    t.false(copied);
  }

  async function catchesUp(replica: Replica): Promise<void> {
    let slowed = 0;
    const timer = setInterval(async () => {
      const progress = await queryCopy(replica.qmp).catch(() => undefined);
      slowed = Math.max(slowed, progress?.throttlePercent ?? 0);
    }, 100);
    try {
      await replica.fullCopy();
    } finally {
      clearInterval(timer);
    }
    t.true(slowed >= 20, `slowed by ${slowed} %`);
    const real = Buffer.alloc(replica.ramBytes);
    const shadow = Buffer.alloc(replica.ramBytes);
    for (let n = 0; n < 4; n++) {
      if (n > 0) await replica.checkpoint();
      replica.readRam(real);
      await replica.commit();
      t.deepEqual(differentPages(real, replica.readShadow(shadow)), []);
    }
    const { 'cpu-throttle-percentage': now } = (await replica.qmp.execute('query-migrate')) as {
      'cpu-throttle-percentage'?: number;
    };
    t.is(now, undefined, 'a protected guest is not slowed');
    const capabilities = (await replica.qmp.execute('query-migrate-capabilities')) as {
      capability: string;
      state: boolean;
    }[];
    t.false(capabilities.find(({ capability }) => capability === 'auto-converge')!.state);
  }
});
