import test from 'ava';
import fc from 'fast-check';
import type { GuestRecord } from '../../lab/guest/record.ts';
import type { CasLogEntry } from '../../lab/observer/cas-judge.ts';
import {
  type CapturedFrame,
  type Evidence,
  Oracle,
  type Verdict,
} from '../../lab/observer/oracle.ts';
import * as build from './frame-builder.ts';

const OPTIONS = {
  guestIp: build.GUEST_IP,
  guestMac: build.GUEST_MAC,
  hostPorts: ['hostA', 'hostB'],
  clientPorts: ['client'],
};

function judge(frames: CapturedFrame[], evidence: Evidence): Verdict {
  const oracle = new Oracle(OPTIONS);
  for (const frame of frames) oracle.see(frame);
  return oracle.verdict(evidence);
}

/** Sends all but the lost ones: from hostA before the failover, from hostB afterwards. */
function sent(records: GuestRecord[], failoverAt: number, lost: ReadonlySet<number> = new Set()) {
  return records
    .filter(record => !lost.has(record.sequence))
    .map((record, i) =>
      build.recordFrame(record, record.sequence <= failoverAt ? 'hostA' : 'hostB', i),
    );
}

/** A clean run of up to 60 records, with one of them picked. */
const run = fc.integer({ min: 3, max: 60 }).chain(count =>
  fc.record({
    count: fc.constant(count),
    failoverAt: fc.nat(count),
    pick: fc.integer({ min: 1, max: count }),
    lost: fc.uniqueArray(fc.integer({ min: 2, max: count })),
  }),
);

test('one execution, whatever is lost and wherever the failover falls, is clean', t => {
  fc.assert(
    fc.property(run, ({ count, failoverAt, lost }) => {
      const { records, history } = build.execution(count, build.nonceOf(1));
      const verdict = judge(sent(records, failoverAt, new Set(lost)), { history });
      t.true(verdict.clean, verdict.offences.join());
      t.is(verdict.records.records, count - lost.length);
      t.is(verdict.records.lost, lost.length);
      t.deepEqual(verdict.offences, []);
    }),
  );
});

test('a record that leaves twice is repeated, on whichever port', t => {
  fc.assert(
    fc.property(run, fc.constantFrom('hostA', 'hostB'), ({ count, failoverAt, pick }, port) => {
      const { records, history } = build.execution(count, build.nonceOf(1));
      const again = build.recordFrame(records[pick - 1]!, port, count);
      const verdict = judge([...sent(records, failoverAt), again], { history });
      t.like(verdict, { clean: false, repeated: 1, contradicted: 0, uncommitted: 0 });
      t.regex(verdict.offences[0]!, new RegExp(`^repeated: record ${pick} .* on ${port} at`));
    }),
  );
});

test('output of a state that did not survive is uncommitted, and contradicted if said anew', t => {
  fc.assert(
    fc.property(run, ({ count, pick }) => {
      // The survivor goes on from before `pick`, and draws other nonces from there.
      const first = build.execution(count, build.nonceOf(1));
      const second = build.execution(count, s => build.nonceOf(s < pick ? 1 : 2)(s));
      const before = first.records.slice(0, pick);
      const silent = { ...second.history, count: pick - 1, last: pick - 1 };
      silent.nonces = silent.nonces.subarray(0, (pick - 1) * 16);
      const quiet = judge(sent(before, count), { history: silent });
      t.like(quiet, { clean: false, repeated: 0, contradicted: 0, uncommitted: 1 });
      t.regex(quiet.offences[0]!, /^uncommitted: record .* beyond/);

      const frames = [...sent(before, count), ...sent(second.records.slice(pick - 1), 0)];
      const loud = judge(frames, { history: second.history });
      t.like(loud, { clean: false, repeated: 0, contradicted: 1 });
      // The lost one itself; its successors follow from the survivor's history.
      t.is(loud.uncommitted, 1);
      t.regex(loud.offences.join(), /was not sent by the survivor: its nonce is/);
    }),
  );
});

test('a chain that does not follow is uncommitted, with and without the history', t => {
  fc.assert(
    fc.property(run, ({ count, failoverAt, pick }) => {
      const { records, history } = build.execution(count, build.nonceOf(1));
      records[pick - 1] = { ...records[pick - 1]!, chain: 'dead00000000beef' };
      t.is(judge(sent(records, failoverAt), { history }).uncommitted, 1);
      const alone = judge(sent(records, failoverAt), {});
      t.true(alone.uncommitted >= 1);
      t.true(alone.inconclusive.length > 0);
    }),
  );
});

test('a second run of the program is a contradiction', t => {
  const one = build.execution(3, build.nonceOf(1));
  const other = build.execution(2, build.nonceOf(1), 'ffff000000000000');
  const verdict = judge([...sent(one.records, 3), ...sent(other.records, 0)], one);
  t.like(verdict, { clean: false, contradicted: 2, uncommitted: 0 });
  t.is(judge(sent(other.records, 3), one).uncommitted, 2);
});

test('what is older than the history, cut or dropped makes it inconclusive', t => {
  const { records, history } = build.execution(6, build.nonceOf(1));
  const later = {
    ...history,
    first: 3,
    count: 4,
    chain: records[1]!.chain,
    nonces: history.nonces.subarray(32),
  };
  const verdict = judge(sent(records, 6), { history: later });
  t.like(verdict, { clean: false, uncommitted: 0 });
  t.deepEqual(verdict.inconclusive, ["2 records are older than the survivor's history"]);
  const [frame, ...rest] = sent(records, 6);
  t.is(judge([{ ...frame!, cut: true }, ...rest], { history }).inconclusive.length, 1);
  t.deepEqual(judge([], { incomplete: ['dropped 3'] }).inconclusive, ['dropped 3']);
});

test('frames of others, and on other ports, are not judged', t => {
  const { records, history } = build.execution(2, build.nonceOf(1));
  const [first, second] = sent(records, 2);
  const elsewhere = { ...first!, port: 'client' };
  const stranger = { ...second!, bytes: Buffer.from(second!.bytes) };
  stranger.bytes[11]! ^= 1;
  const verdict = judge([first!, elsewhere, second!, stranger], { history });
  t.true(verdict.clean);
  t.is(verdict.records.records, 2);
  t.deepEqual(verdict.frames, { hostA: 2 });
});

test('differing TCP bytes between hosts are contradicted; the same bytes again are not', t => {
  const payload = Buffer.from('the same bytes');
  const says = (text: Buffer, port: string, atMs: number) =>
    build.guestSegment({ sequence: 10, payload: text }, port, atMs);
  const again = judge([says(payload, 'hostA', 1), says(payload, 'hostB', 2)], {});
  t.true(again.clean);
  t.is(again.tcp.retransmittedBytes, payload.length);
  const other = judge([says(payload, 'hostA', 1), says(Buffer.from('THE'), 'hostB', 2)], {});
  t.like(other, { clean: false, contradicted: 1 });
  t.regex(other.offences[0]!, /on hostB .* sends another byte at sequence 10/);
});

test('acknowledgements are judged against what came in on the client port', t => {
  const frames = [
    build.clientSegment({ sequence: 1, payload: Buffer.from('ab') }, 'client', 1),
    build.guestSegment({ sequence: 1, acknowledgement: 3 }, 'hostA', 2),
    build.guestSegment({ sequence: 1, acknowledgement: 4 }, 'hostB', 3),
  ];
  t.is(judge(frames.slice(0, 2), {}).contradicted, 0);
  t.is(judge(frames, {}).contradicted, 1);
});

/** The log that one faithful execution leaves, and its memory. */
function casRun(count: number): { log: CasLogEntry[]; evidence: () => Evidence } {
  const { records, history } = build.execution(count, build.nonceOf(1));
  const log = records.map(({ run, sequence, nonce }, i) => {
    const old = i > 0 ? records[i - 1]!.nonce : '0'.repeat(32);
    return { atMs: i, run, sequence, old, new: nonce, held: old, applied: true };
  });
  const status = {
    run: history.run,
    last: count,
    applied: count,
    contradictions: 0,
    connectionsLost: 0,
    current: records.at(-1)!.nonce,
  };
  return { log, evidence: () => ({ cas: { log, history, status } }) };
}

test('a faithful run of compare-and-swaps is clean, also with an answer under way', t => {
  const { log, evidence } = casRun(20);
  t.true(judge([], evidence()).clean);
  const late = evidence();
  late.cas!.status.applied--;
  late.cas!.status.current = log.at(-2)!.new;
  t.true(judge([], late).clean);
});

test('a log that begins in the middle of a run is judged from there on', t => {
  const { log, evidence } = casRun(20);
  const cas = evidence().cas!;
  const before = { ...cas.status, last: 8, applied: 8, current: log[7]!.new };
  const later = (from: number) => ({ cas: { ...cas, log: log.slice(from), before } });
  t.true(judge([], later(8)).clean);
  t.regex(judge([], later(9)).offences.join(), /came after 8: what is between them is lost/);
  t.regex(judge([], later(7)).offences.join(), /came again, after 8/);
  t.false(judge([], { cas: { ...cas, log: log.slice(8) } }).clean);
  const refused = { ...later(8).cas, status: { ...cas.status, contradictions: 1 } };
  t.false(judge([], { cas: refused }).clean);
  t.true(judge([], { cas: { ...refused, before: { ...before, contradictions: 1 } } }).clean);
});

test('every planted fault in the compare-and-swaps is caught', t => {
  const faults: [string, (cas: NonNullable<Evidence['cas']>, at: number) => void, RegExp][] = [
    [
      'replay',
      (cas, at) => {
        const log = cas.log as CasLogEntry[];
        log.splice(at + 1, 0, { ...log[at]!, applied: false, held: log[at]!.new });
      },
      /contradicted: .* came again/,
    ],
    [
      'other nonce',
      (cas, at) => {
        cas.log[at]!.new = 'f'.repeat(32);
      },
      /uncommitted: .* not remembered/,
    ],
    [
      'found another value',
      (cas, at) => {
        cas.log[at]!.held = 'f'.repeat(32);
        cas.log[at]!.applied = false;
      },
      /contradicted: .* but found/,
    ],
    [
      'lost',
      (cas, at) => {
        (cas.log as CasLogEntry[]).splice(at, 1);
      },
      /contradicted: .* is lost/,
    ],
    [
      'another run',
      (cas, at) => {
        cas.log[at]!.run = 'ffff000000000000';
      },
      /uncommitted: .* not remembered/,
    ],
    [
      'refused',
      cas => {
        cas.status.contradictions = 1;
      },
      /refused 1 times/,
    ],
    [
      'believes another value',
      cas => {
        cas.status.current = 'f'.repeat(32);
      },
      /believes/,
    ],
    [
      'told more often than said',
      cas => {
        cas.status.applied++;
      },
      /was told OK/,
    ],
  ];
  fc.assert(
    fc.property(fc.constantFrom(...faults), fc.nat(16), ([name, plant, expected], at) => {
      const evidence = casRun(20).evidence();
      plant(evidence.cas!, at);
      const verdict = judge([], evidence);
      t.false(verdict.clean, name);
      t.regex(verdict.offences.join(), expected, name);
    }),
  );
  const lost = casRun(3).evidence();
  lost.cas!.status.connectionsLost = 1;
  t.like(judge([], lost), { clean: false, connectionsLost: 1 });
});

test('measures the silence around an instant and who spoke first after it', t => {
  const { records } = build.execution(6, build.nonceOf(1));
  const at = (i: number, port: string, atMs: number) => build.recordFrame(records[i]!, port, atMs);
  const rarp = build.ethernet(build.GUEST_MAC, 0x8035, Buffer.alloc(46));
  const oracle = new Oracle({
    ...OPTIONS,
    instants: [
      { name: 'killed', atMs: 105 },
      { name: 'never', atMs: 2000 },
    ],
  });
  const frames = [
    at(0, 'hostA', 0),
    at(1, 'hostA', 100),
    at(2, 'hostA', 107),
    { port: 'hostB', atMs: 280, bytes: rarp },
    at(3, 'hostB', 300),
    at(4, 'hostB', 310),
  ];
  for (const frame of frames) oracle.see(frame);
  const [killed, never] = oracle.verdict({}).gaps;
  t.deepEqual(killed?.silence, { startMs: 107, endMs: 300, durationMs: 193 });
  t.deepEqual(killed?.firstAfter, {
    hostA: { anyMs: 107, rarpMs: undefined, ipMs: 107 },
    hostB: { anyMs: 280, rarpMs: 280, ipMs: 300 },
  });
  t.deepEqual(never?.silence, { startMs: 310, endMs: undefined, durationMs: undefined });
  t.deepEqual(never?.firstAfter, {});
});
