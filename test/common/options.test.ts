import fs from 'node:fs';
import test from 'ava';
import { ERROR_CODES } from '../../common/errors.ts';
import { helpText, parseCommandLine, tcpAddress, wholeNumber } from '../../common/options.ts';
import { VERSION } from '../../common/version.ts';

const SPEC = {
  program: 'thing',
  usage: '--tap NAME',
  summary: 'Does a thing.',
  options: { tap: { type: 'string' as const, value: 'NAME', help: 'the tap', default: 'tap0' } },
};

test('an unknown option is a usage error that names the way to --help', t => {
  t.throws(() => parseCommandLine(SPEC, ['--tab', 'x']), {
    code: 'CURLING_USAGE',
    message: /--tab.*thing --help/s,
  });
});

test('help names every option and its default', t => {
  t.regex(helpText(SPEC), /--tap NAME\s+the tap \(default tap0\)/);
});

test('whole numbers and addresses are checked, with what was expected', t => {
  t.is(wholeNumber('n', '12', 1, 12), 12);
  for (const bad of ['13', '0', '1.5', '', 'x', '1e1', undefined]) {
    t.throws(() => wholeNumber('n', bad, 1, 12), {
      code: 'CURLING_USAGE',
      message: /from 1 to 12/,
    });
  }
  t.deepEqual(tcpAddress('peer', '10.0.0.1:80'), { host: '10.0.0.1', port: 80 });
  t.deepEqual(tcpAddress('peer', '[fe80::1]:80'), { host: 'fe80::1', port: 80 });
  for (const bad of ['10.0.0.1', ':80', 'a:0', 'a:65536', 'fe80::1:80', '']) {
    t.throws(() => tcpAddress('peer', bad), { code: 'CURLING_USAGE' });
  }
});

test('the version is that of package.json', t => {
  t.is(JSON.parse(fs.readFileSync('package.json', 'utf8')).version, VERSION);
});

test('docs/errors.md explains every code, and no other', t => {
  const documented = [
    ...fs.readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `(CURLING_\w+)`/gm),
  ].map(row => row[1]);
  t.deepEqual(documented.sort(), Object.keys(ERROR_CODES).sort());
});
