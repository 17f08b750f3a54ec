import test from 'ava';
import { type Facts, failures, summaryText } from '../../demo/facts.ts';

const PERCENTILE = { p50: 1, p99: 2 };
const FAILOVER = {
  kind: 'killed' as const,
  from: 'a',
  to: 'b',
  detectionMs: 20,
  decisionMs: 2,
  resumeMs: 16,
  firstFrameMs: 54,
  gapMs: 80,
};

function facts(change: Partial<Facts> = {}): Facts {
  return {
    epochs: 500,
    repeated: 0,
    contradicted: 0,
    uncommitted: 0,
    connectionsLost: 0,
    inconclusive: [],
    offences: [],
    records: 3000,
    compareAndSwaps: 500,
    pauseMs: { ...PERCENTILE, max: 5 },
    checkpointBytes: 500_000,
    echoRttMs: { protected: PERCENTILE, unprotected: PERCENTILE, underLoad: PERCENTILE },
    failovers: [FAILOVER, { ...FAILOVER, kind: 'pulled', from: 'b', to: 'c' }],
    qemu: '7.2.22',
    accel: 'tcg',
    ...change,
  };
}

test('a demo in which nothing went wrong has no failures', t => {
  t.deepEqual(failures(facts()), []);
});

for (const [name, change] of Object.entries({
  'a repeated output': { repeated: 1 },
  'a contradicted output': { contradicted: 1 },
  'an uncommitted output': { uncommitted: 1 },
  'a lost connection': { connectionsLost: 1 },
  'an incomplete capture': { inconclusive: ['a capture dropped 3 frames'] },
  'no record at all': { records: 0 },
  'a missing failover': { failovers: [FAILOVER] },
})) {
  test(`${name} fails the demo`, t => {
    t.is(failures(facts(change)).length, 1);
  });
}

test('the summary has both failovers and the three counts', t => {
  const text = summaryText(facts());
  t.regex(text, /host a killed, b runs on\s+detected \+ decided \+ resumed 20 \+ 2 \+ 16 ms/);
  t.regex(text, /host b unplugged, c runs on/);
  t.regex(text, /repeated \/ contradicted \/ uncommitted\s+0 \/ 0 \/ 0/);
});
