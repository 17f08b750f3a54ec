import test from 'ava';
import { HEADROOM, PoolPlan, QUIET_MS } from '../../coordinator/checkpoint/pool-plan.ts';

const BOUNDS = { chunksMin: 16, chunksMax: 1000 };

test('a pool follows what is in use, with room above and within its bounds', t => {
  const plan = new PoolPlan(BOUNDS);
  t.is(plan.wanted(0), 16);
  plan.used(100, 1);
  t.is(plan.wanted(1), 100 * HEADROOM);
  plan.used(20, 2);
  t.is(plan.wanted(2), 100 * HEADROOM, 'the most counts');
  plan.used(900, 3);
  t.is(plan.wanted(3), 1000);
  t.is(plan.next(16, 3), 1000, 'growth is not put off');
});

test('what was in use counts for 5 to 10 seconds, then half of the rest goes with each step', t => {
  const plan = new PoolPlan(BOUNDS);
  plan.used(400, 1000);
  for (const now of [1000, 1000 + QUIET_MS, 999 + 2 * QUIET_MS]) {
    plan.used(10, now);
    t.is(plan.wanted(now), 600, `at ${now}`);
  }
  const quiet = 1000 + 2 * QUIET_MS;
  t.is(plan.wanted(quiet), 16);
  t.is(plan.next(600, quiet), 308);
  t.is(plan.next(17, quiet), 16);
  t.is(plan.next(16, quiet), 16);
  plan.used(50, quiet);
  t.is(plan.next(308, quiet), 75 + 116);
});

test('after a long silence nothing of before counts', t => {
  const plan = new PoolPlan(BOUNDS);
  plan.used(400, 0);
  t.is(plan.wanted(60 * QUIET_MS), 16);
});
