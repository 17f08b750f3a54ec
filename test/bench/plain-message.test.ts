import test from 'ava';
import { plainMessage } from '../../bench/harness/plain-message.ts';
import { inRepository } from '../../lab/paths.ts';

test('what a report says of an error holds no path of this machine', t => {
  const error = new Error(
    `${process.execPath} ${inRepository('build/x.js')} /run/curling-lab/ab1/s`,
  );
  t.is(plainMessage(error), 'node build/x.js RUN/s');
  t.is(plainMessage('as it is'), 'as it is');
});
