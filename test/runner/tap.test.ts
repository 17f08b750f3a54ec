import test from 'ava';
import fc from 'fast-check';
import { needsOf } from './files.ts';
import { TapReader } from './tap.ts';

const OUTPUT = `TAP version 13
ok 1 - b › good
ok 2 - a › skipped # SKIP
not ok 3 - a › later # TODO
not ok 4 - a › bad
#   logged
  ---
    name: AssertionError

    message: 'no # SKIP here'
  ...
a test printed this
not ok 5 - c.test.mjs exited with a non-zero exit code: 1

1..5
# tests 4
# fail 2
`;

const TESTS = [
  { title: 'b › good', outcome: 'passed', details: [] },
  { title: 'a › skipped', outcome: 'skipped', details: [] },
  { title: 'a › later', outcome: 'skipped', details: [] },
  {
    title: 'a › bad',
    outcome: 'failed',
    details: [
      '#   logged',
      '  ---',
      '    name: AssertionError',
      "    message: 'no # SKIP here'",
      '  ...',
    ],
  },
  { title: 'c.test.mjs exited with a non-zero exit code: 1', outcome: 'failed', details: [] },
];

test('tests, directives and details are read, in pieces of any size', t => {
  const cuts = fc.array(fc.nat(OUTPUT.length), { maxLength: 20 });
  fc.assert(
    fc.property(cuts, at => {
      const reader = new TapReader();
      const edges = [0, ...at.sort((left, right) => left - right), OUTPUT.length];
      const read = edges.flatMap((edge, index) =>
        reader.push(OUTPUT.slice(edge, edges[index + 1])),
      );
      t.deepEqual([...read, ...reader.end()], TESTS as typeof read);
    }),
  );
});

test('a failure at the very end of an output that breaks off is not lost', t => {
  const reader = new TapReader();
  t.deepEqual(reader.push('not ok 1 - a › b'), []);
  t.deepEqual(reader.end(), [{ title: 'a › b', outcome: 'failed', details: [] }]);
});

test('a test file says by its titles what it needs', t => {
  // Put together here, so that this file itself needs nothing.
  const needs = ['nee', 'ds'].join('');
  const title = (text: string) => `test('${text}', t => {`;
  t.is(needsOf(title('a decoder for QEMU at the root')), 'nothing');
  t.is(needsOf(title(`x (${needs} root, namespaces)`)), 'root');
  t.is(needsOf(title(`x (${needs} root, QEMU)`)), 'qemu');
  t.is(needsOf(title(`${needs} qemu: a guest`)), 'qemu');
  t.is(needsOf(title(`${needs} root: a tap of QEMU`)), 'root');
  t.is(needsOf(title('root'.concat(': a full file system'))), 'root');
  t.is(needsOf("import { Lab } from '../../lab/lab.ts';\n"), 'root');
  t.is(
    needsOf("import { Lab } from '../../lab/lab.ts';\nimport { x } from '../lab/qemu.ts';"),
    'qemu',
  );
  t.is(needsOf(`// it ${needs} root`), 'nothing');
});
