import test from 'ava';
import { emptyState, type HostState } from '../../coordinator/arbitration/host-state.ts';
import { Explanation } from '../../coordinator/explanation.ts';
import { unprotectedIn } from '../../coordinator/unprotected.ts';

test('what stands in the way goes first, and goes when it is over', t => {
  const explanation = new Explanation('starting');
  t.is(explanation.text, 'starting');
  explanation.say('the backup is silent');
  explanation.trouble('witness', 'the witness did not answer');
  t.is(explanation.text, 'the witness did not answer');
  explanation.trouble('gateway', 'the gateway does not answer');
  t.is(explanation.text, 'the gateway does not answer', 'it comes before the witness');
  explanation.say('something else');
  t.is(explanation.text, 'the gateway does not answer');
  explanation.trouble('gateway', null);
  explanation.trouble('witness', null);
  t.is(explanation.text, 'something else');
});

const base = emptyState('vm', { host: 'a', incarnation: '1'.repeat(32) });
const peer = { host: 'b', incarnation: '2'.repeat(32) };
const inState = (name: HostState['name']): HostState => ({ ...base, name, peer });

test('a machine is unprotected since the loss of its backup, whatever is tried meanwhile', t => {
  const at = new Date(1_000);
  const first = unprotectedIn(
    inState('SOLO'),
    { said: null, state: inState('PRES') },
    'it was silent',
    at,
  );
  t.deepEqual(first, { since: at.toISOString(), why: 'lost its backup b: it was silent' });
  let said = first;
  for (const name of ['SYNC', 'SOLO', 'SYNC', 'SRES'] as const)
    said = unprotectedIn(inState(name), { said, state: inState('SOLO') }, 'later', new Date());
  t.deepEqual(said, first);
  for (const name of ['PROT', 'HALT', 'JOIN', 'BACK'] as const)
    t.is(unprotectedIn(inState(name), { said, state: inState('SRES') }, '', at), null);
});

test('or since it took over, or since the start', t => {
  const took = unprotectedIn(
    inState('SOLO'),
    { said: null, state: inState('FROZ') },
    'gone',
    new Date(),
  );
  t.is(took?.why, 'took over from b: gone');
  t.regex(unprotectedIn(inState('SOLO'), null, '', new Date())!.why, /started/);
});
