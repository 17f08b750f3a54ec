import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseCommandLine } from '../../common/options.ts';
import { configured, readConfigured } from '../../config/configured.ts';
import { dumpText } from '../../config/dump.ts';
import { readConfigFiles } from '../../config/files.ts';
import { DAEMONS, type DaemonName } from '../../config/schema.ts';
import { coordinatorConfig } from '../../coordinator/config.ts';
import { proxyConfig } from '../../proxy/config.ts';

/** A folder like /etc/curling with these files. */
function folderWith(t: ExecutionContext, files: Record<string, string>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-config-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o644 });
  }
  return folder;
}

function read(daemon: DaemonName, folder: string, argv: readonly string[]) {
  return configured(daemon, parseCommandLine(DAEMONS[daemon], [...argv, '--config', folder]));
}

const HOST = `
host = "kvm1"   # who we are
plaintext = true
witness = "127.0.0.1:7700"
log-level = "warn"

[curling-proxy]
log-level = "debug"

[curling-witness]
store = "/var/lib/curling/registers"
`;
const WEB = `
tap = ["tap0", "tap1"]
qmp = "/run/web.qmp"
listen = "127.0.0.1:7701"
peer = "127.0.0.1:7702"
pause-share = 30
no-trial-load = true
command = ["qemu", "-m", "2048"]

[curling-proxy]
bridge = "br0"
buffer-mib = 64
`;

test('a coordinator and a proxy are told all by the files of host and machine', t => {
  const folder = folderWith(t, { 'curling.toml': HOST, 'vm/web.toml': WEB });
  const config = readConfigured(read('coordinator', folder, ['--vm', 'web']), coordinatorConfig);
  t.like(config, {
    ...{ vm: 'web', host: 'kvm1', role: 'backup', logLevel: 'warn', trialLoad: false },
    ...{ proxyPath: '/run/curling/proxy-tap0.sock', standbyCommand: ['qemu', '-m', '2048'] },
    ...{ witness: { host: '127.0.0.1', port: 7700 }, peers: [{ host: '127.0.0.1', port: 7702 }] },
  });
  t.is(config.schedule.pauseShare, 0.3);
  const proxy = readConfigured(read('proxy', folder, ['--tap', 'tap0']), proxyConfig);
  t.like(proxy, { taps: ['tap0', 'tap1'], bridge: 'br0', bufferBytes: 64 << 20 });
  t.is(proxy.logLevel, 'debug');
});

test('later files override earlier ones, the machine overrides the host, flags override all', t => {
  const folder = folderWith(t, {
    'curling.toml': `${HOST}\n[curling-coordinator]\ndetection = 301\nbeat = 11\nin-flight = 2\n`,
    'conf.d/10.toml': '[curling-coordinator]\ndetection = 302\nbeat = 12\n',
    'conf.d/20.toml': 'beat = 13\n',
    'conf.d/30.toml.disabled': 'nonsense',
    'vm/web.toml': `detection = 304\n${WEB}`,
  });
  const { settings } = read('coordinator', folder, ['--vm', 'web', '--in-flight', '9']);
  const value = (name: string) => settings.get(name)!.value;
  t.deepEqual(['detection', 'beat', 'in-flight'].map(value), ['304', '13', '9']);
  t.is(settings.get('beat')!.source, `${folder}/conf.d/20.toml:1`);
  t.is(settings.get('in-flight')!.source, 'command line');
  t.is(settings.get('pause-share')!.source, `${folder}/vm/web.toml:7`);
  t.is(settings.get('in-flight-mib')!.source, 'default');
});

test('a mistake is an error with file and line, and the nearest name', t => {
  const wrong: [files: Record<string, string>, message: RegExp][] = [
    [{ 'curling.toml': 'host = "a"\nwitnes = "b"\n' }, /curling\.toml:2: .*did you mean witness\?/],
    [{ 'curling.toml': '[curling-proxi]\n' }, /^$/],
    [
      { 'curling.toml': '[curling-proxi]\nbridge = "b"\n' },
      /:2: unknown table \[curling-proxi\].*mean curling-proxy\?/,
    ],
    [
      { 'curling.toml': '[curling-proxy]\n\nlisten = "b"\n' },
      /:3: unknown key listen in \[curling-proxy\]/,
    ],
    [{ 'curling.toml': 'host = "a\n' }, /:1: this is no TOML/],
    [{ 'curling.toml': 'host = "a"\nhost = "b"\n' }, /:2: this is no TOML/],
    [{ 'conf.d/x.toml': 'host = 1.5\n' }, /x\.toml:1: host: expected a text/],
    [{ 'conf.d/x.toml': 'host = true\n' }, /x\.toml:1: host: expected one text or number/],
    [{ 'conf.d/x.toml': 'host = ["a", "b"]\n' }, /:1: host: expected one text or number/],
    [{ 'conf.d/x.toml': 'plaintext = "yes"\n' }, /:1: plaintext: expected true or false/],
    [{ 'conf.d/x.toml': 'a.b = 1\n' }, /:1: expected a key of one word, got a\.b/],
    [{ 'conf.d/x.toml': '[a.b]\nc = 1\n' }, /:1: expected a table with a name of one word/],
    [{ 'conf.d/x.toml': '[[curling-proxy]]\n' }, /:1: expected a table/],
    [{ 'conf.d/x.toml': 'constructor = 1\n' }, /:1: unknown key constructor/],
    [{ 'vm/other.toml': '\nrole = "primary"\n' }, /vm\/other\.toml:2: unknown key role/],
    [
      { 'vm/other.toml': '[curling-proxy]\ntap = "tap0"\n' },
      /:2: unknown key tap in \[curling-proxy\]/,
    ],
    [{ 'vm/other.toml': '[curling-proxy]\ninitial = "bypass"\n' }, /:2: unknown key initial/],
    [
      { 'vm/other.toml': '[curling-coordinator]\nlisten = "x"\n' },
      /:2: unknown table \[curling-coordinator\]/,
    ],
  ];
  for (const [files, message] of wrong) {
    const folder = folderWith(t, files);
    if (message.source === '^$') {
      t.notThrows(() => readConfigFiles(folder), 'an empty table says nothing');
      continue;
    }
    const error = t.throws(() => readConfigFiles(folder), { code: 'CURLING_CONFIG' });
    t.regex(error?.message ?? '', message);
  }
});

test('a value that an option refuses is an error with the place of that value', t => {
  const files = { 'curling.toml': HOST, 'vm/web.toml': `beat = 4\n${WEB}` };
  const folder = folderWith(t, files);
  const flags = ['--vm', 'web'];
  const error = t.throws(
    () => readConfigured(read('coordinator', folder, flags), coordinatorConfig),
    { code: 'CURLING_CONFIG' },
  );
  t.regex(error?.message ?? '', /vm\/web\.toml:1: beat: expected a whole number from 5 to 75/);
  const own = [...flags, '--beat', '3'];
  t.throws(() => readConfigured(read('coordinator', folder, own), coordinatorConfig), {
    code: 'CURLING_USAGE',
    message: /^--beat: /,
  });
});

test('a proxy is started with the first tap of a guest, and no tap has two guests', t => {
  const folder = folderWith(t, { 'vm/web.toml': WEB });
  t.throws(() => read('proxy', folder, ['--tap', 'tap1']), {
    code: 'CURLING_CONFIG',
    message: /web\.toml:2: .*--tap tap0/,
  });
  t.deepEqual(read('proxy', folder, ['--tap', 'tap9']).line.values.tap, ['tap9']);
  t.deepEqual(read('proxy', folder, ['--tap', 'tap0', '--tap', 'tap1']).line.values.tap, [
    'tap0',
    'tap1',
  ]);
  const two = folderWith(t, { 'vm/web.toml': WEB, 'vm/db.toml': 'tap = "tap1"\n' });
  t.throws(() => read('proxy', two, ['--tap', 'tap1']), {
    code: 'CURLING_CONFIG',
    message: /db\.toml:1 and .*web\.toml:2: both machines have tap1/,
  });
});

test('files that others can write, and folders that are not there, are refused', t => {
  const folder = folderWith(t, { 'curling.toml': HOST });
  fs.chmodSync(path.join(folder, 'curling.toml'), 0o666);
  t.throws(() => readConfigFiles(folder), { code: 'CURLING_CONFIG', message: /others can use it/ });
  t.throws(() => readConfigFiles(`${folder}/none`), { code: 'CURLING_CONFIG' });
  t.deepEqual(readConfigFiles('none').host, []);
});

test('a link to nothing, and what is no folder, are mistakes and not the absence of files', t => {
  const wrong: [make: (folder: string) => void, message: RegExp][] = [
    [folder => fs.symlinkSync('nowhere', `${folder}/curling.toml`), /cannot read .*curling\.toml/],
    [folder => fs.symlinkSync('nowhere', `${folder}/conf.d`), /cannot read .*conf\.d/],
    [folder => fs.symlinkSync('nowhere', `${folder}/vm`), /cannot read .*vm/],
    [folder => fs.writeFileSync(`${folder}/conf.d`, ''), /conf\.d: expected a folder/],
    [folder => fs.writeFileSync(`${folder}/vm`, ''), /vm: expected a folder/],
  ];
  for (const [make, message] of wrong) {
    const folder = folderWith(t, {});
    make(folder);
    t.throws(() => readConfigFiles(folder), { code: 'CURLING_CONFIG', message });
  }
  const link = path.join(folderWith(t, {}), 'link');
  fs.symlinkSync('nowhere', link);
  t.throws(() => readConfigFiles(link), { code: 'CURLING_CONFIG', message: /cannot read .*link/ });
  fs.writeFileSync(`${link}.txt`, '');
  t.throws(() => readConfigFiles(`${link}.txt`), {
    code: 'CURLING_CONFIG',
    message: /expected a folder/,
  });
});

test('a folder into which others can put files is refused', t => {
  for (const name of ['', 'conf.d', 'vm']) {
    const folder = folderWith(t, { 'conf.d/a.toml': '', 'vm/web.toml': '' });
    fs.chmodSync(path.join(folder, name), 0o777);
    t.throws(() => readConfigFiles(folder), {
      code: 'CURLING_CONFIG',
      message: /others can put files in it \(mode 0777\); chmod 755/,
    });
  }
});

test('a dump is the configuration again, with the source of each value', t => {
  const folder = folderWith(t, { 'curling.toml': HOST, 'vm/web.toml': WEB });
  const first = read('coordinator', folder, ['--vm', 'web', '--log-level', 'error']);
  const text = dumpText(first.settings);
  t.regex(text, /^beat = 50 +# default$/m);
  t.regex(text, /^log-level = "error" +# command line$/m);
  t.true(text.includes(`# ${folder}/vm/web.toml:8`), text);
  // What only a flag says is not for a file; all else is read back as it was.
  const file = text.replace(/^(vm|role|create) = .*\n/gm, '');
  const again = read('coordinator', folderWith(t, { 'vm/web.toml': file }), ['--vm', 'web']);
  const values = ({ line }: typeof first) => ({ ...line.values, config: '', 'log-level': '' });
  t.deepEqual(values(again), values(first));
  t.deepEqual(again.line.rest, first.line.rest);
});
