import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseKeys } from '../../common/wire/keys.ts';
import { generateKeys } from '../../ctl/keygen.ts';
import { folder, keysOf } from './rig.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));

test('keygen makes a private file, adds hosts to it, and replaces keys only when told', t => {
  const file = path.join(folder(t), 'keys');
  const make = (hosts: string[], replace = false) => generateKeys({ hosts, file, replace });
  t.regex(make(['kvm1', 'kvm2']), /Copy it to kvm1, kvm2 and to the witness/);
  t.is(fs.statSync(file).mode & 0o777, 0o600);
  t.is(keysOf(file, 'kvm2').kind, 'keys');
  const read = () => parseKeys(fs.readFileSync(file, 'utf8'), file);
  const first = read();
  t.notDeepEqual(first.get('kvm1'), first.get('kvm2'));

  fs.appendFileSync(file, '# a third one');
  make(['kvm3']);
  t.deepEqual([...read().keys()], ['kvm1', 'kvm2', 'kvm3']);
  t.deepEqual(read().get('kvm1'), first.get('kvm1'));
  t.true(fs.readFileSync(file, 'utf8').includes('# a third one\n'));

  const before = fs.readFileSync(file, 'utf8');
  const taken = { code: 'CURLING_KEYS', message: /kvm1 has a key already; --replace/ };
  t.throws(() => make(['kvm4', 'kvm1']), taken);
  t.is(fs.readFileSync(file, 'utf8'), before);
  make(['kvm1'], true);
  t.notDeepEqual(read().get('kvm1'), first.get('kvm1'));
  t.deepEqual(read().get('kvm2'), first.get('kvm2'));
  t.deepEqual(fs.readdirSync(path.dirname(file)), ['keys']);
});

test('keygen refuses names that are none, a file for others, and a second keygen', t => {
  const file = path.join(folder(t), 'keys');
  const make = (...hosts: string[]) => generateKeys({ hosts, file, replace: false });
  t.throws(() => make(), { code: 'CURLING_USAGE' });
  t.throws(() => make('a:b'), { code: 'CURLING_USAGE' });
  t.false(fs.existsSync(file));
  fs.writeFileSync(`${file}.new`, '');
  t.throws(() => make('a'), { code: 'CURLING_KEYS', message: /another keygen/ });
  t.true(fs.existsSync(`${file}.new`));
  fs.rmSync(`${file}.new`);
  make('a');
  fs.chmodSync(file, 0o644);
  t.throws(() => make('b'), { code: 'CURLING_KEYS', message: /chmod 600/ });
  t.throws(() => generateKeys({ hosts: ['a'], file: `${file}/x`, replace: false }), {
    code: 'CURLING_KEYS',
  });
});

test('curlingctl keygen, as an operator types it', t => {
  const file = path.join(folder(t), 'keys');
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [CTL, 'keygen', ...args], { encoding: 'utf8', stdio: 'pipe' });
  const said = run('kvm1', 'kvm2', '--file', file);
  t.regex(said, /curling-coordinator --host kvm2 --keys/);
  t.false(/[0-9a-f]{64}/.test(said));
  t.is(keysOf(file).kind, 'keys');
  t.throws(() => run('kvm1', '--file', file), { message: /CURLING_KEYS/ });
  t.throws(() => run('kvm1'), { message: /--file is required/ });
});
