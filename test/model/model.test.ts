import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import test from 'ava';
import { MISTAKES, rowText, TRANSITIONS } from '../arbitration/sim/transitions.ts';
import { BRIEF } from '../effort.ts';
import { CHECKS, check, MODEL } from './check.ts';

const fit = ['spin', 'gcc'].every(tool => spawnSync(tool, ['-V']).error === undefined);
/** Where it counts a missing tool is a failure. */
const skipped = BRIEF || (!fit && !process.env.CI);
const spin = skipped ? test.serial.skip : test.serial;

/** A search is a matter of seconds, on a machine that does nothing else. */
const PATIENCE_MS = 600_000;

for (const item of CHECKS.filter(each => each.quick)) {
  spin(`the model: ${item.name} (needs spin, gcc)`, async t => {
    t.timeout(PATIENCE_MS + 300_000);
    const result = await check(item, PATIENCE_MS);
    t.is(result.outcome, item.expected, result.said);
    t.log(`${result.states} states`);
  });
}

const source = fs.readFileSync(MODEL, 'utf8');
/** A restart begins a backup empty, as a crash does; the code could also go on from an intact store. */
const LEFT_OUT = ['START + start → BACK', 'START + start → JOIN', 'BACK + register → SOLO'];

test('the model moves as the table of the production code says', t => {
  const moves = [...source.matchAll(/MOVE\((\w+), ([\w-]+), (\w+)\)/g)]
    .map(([, from, event, to]) => `${from} + ${event} → ${to}`)
    .filter(move => !move.startsWith('from '));
  const rows = [...TRANSITIONS, ...MISTAKES].map(rowText);
  const expected = rows.filter(row => !LEFT_OUT.includes(row));
  t.deepEqual([...new Set(moves)].sort(), expected.sort());
});

test('nothing but a MOVE, a fault or a sabotage sets a state', t => {
  let mutant = 0;
  const strange: string[] = [];
  for (const line of source.split('\n')) {
    if (/^#if/.test(line)) mutant += mutant > 0 || /MUT|RESIGN|REORDER/.test(line) ? 1 : 0;
    else if (/^#(else|elif)/.test(line) && mutant === 1) mutant = 0;
    else if (/^#endif/.test(line) && mutant > 0) mutant--;
    const fault = /st\[i\]=(DOWN|JOIN|START);/.test(line);
    if (mutant === 0 && !fault && /st\[i\] ?=[^=]/.test(line) && !/define MOVE/.test(line))
      strange.push(line.trim());
  }
  t.deepEqual(strange, []);
});
