import test from 'ava';
import {
  ASKED_FOR,
  causeOf,
  FAILOVER_CAUSES,
  type FailoverCause,
  primarySays,
  silentFor,
} from '../../coordinator/suspicion.ts';

test('a failover has one of a few causes, whatever words it comes with', t => {
  const words: Record<string, FailoverCause> = {
    [silentFor(401.4)]: 'silence',
    'replication: read ECONNRESET': 'connection',
    'the primary ended the connection': 'connection',
    [primarySays('QEMU is gone: the monitor closed')]: 'guest',
    [ASKED_FOR]: 'operator',
    [primarySays(ASKED_FOR)]: 'operator',
  };
  for (const [reason, cause] of Object.entries(words)) t.is(causeOf(reason), cause, reason);
  t.deepEqual([...new Set(Object.values(words))].sort(), [...FAILOVER_CAUSES].sort());
});
