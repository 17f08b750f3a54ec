import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { toolEnvironment } from '../../common/run.ts';
import { VERSION } from '../../common/version.ts';
import { type Ended, outcome, REPOSITORY, SCRIPT } from './host.ts';

const CONFIGURATION = 'etc/curling/example.toml';

function makeFolder(t: ExecutionContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-files-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A checkout whose example configuration is known, beside the real one. */
function makeCheckout(t: ExecutionContext): string {
  const folder = makeFolder(t);
  for (const name of fs.readdirSync(REPOSITORY))
    if (name !== 'install' && name !== '.git')
      fs.symlinkSync(path.join(REPOSITORY, name), path.join(folder, name));
  fs.cpSync(path.join(REPOSITORY, 'install'), path.join(folder, 'install'), { recursive: true });
  fs.mkdirSync(path.join(folder, 'install/etc'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'install/etc/example.toml'), '# example\n');
  return folder;
}

function install(script: string, root: string, ...more: string[]): Promise<Ended> {
  return outcome('sh', [script, '--files', '--destdir', root, ...more]);
}

function list(root: string): string[] {
  return fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
}

test('programs that are installed run, and undo removes them all', async t => {
  const root = makeFolder(t);
  fs.mkdirSync(path.join(root, 'usr/bin'), { recursive: true });
  fs.writeFileSync(path.join(root, 'usr/bin/other'), 'of another package');
  const before = list(root);
  t.is((await install(SCRIPT, root, '--dry-run')).status, 0);
  t.deepEqual(list(root), before);
  const ended = await install(SCRIPT, root);
  t.is(ended.status, 0, ended.stderr);
  for (const [program, folder] of [
    ['curling-proxy', 'proxy'],
    ['curling-coordinator', 'coordinator'],
    ['curling-witness', 'witness'],
    ['curlingctl', 'ctl'],
  ] as const) {
    const main = path.join(root, `usr/lib/curling/build/${folder}/main.js`);
    const said = await outcome(process.execPath, [main, '--version']);
    t.true(said.stdout.startsWith(`${program} ${VERSION} `), said.stderr);
    const wrapper = path.join(root, folder === 'ctl' ? 'usr/bin' : 'usr/sbin', program);
    t.regex(fs.readFileSync(wrapper, 'utf8'), new RegExp(`/usr/lib/curling/build/${folder}/main`));
    t.is(fs.statSync(wrapper).mode & 0o777, 0o755);
  }
  const installed = path.join(root, 'usr/lib/curling/install/curling-install');
  t.is((await install(installed, root)).status, 4, 'only a checkout can install');
  t.is((await install(installed, root, '--undo')).status, 0);
  t.deepEqual(list(root), before);
  t.regex((await install(SCRIPT, root, '--undo')).stdout, /no files are recorded/);
});

test('a dry run does not even make the folder to install in', async t => {
  const root = path.join(makeFolder(t), 'none');
  const ended = await install(SCRIPT, root, '--dry-run');
  t.is(ended.status, 0, ended.stderr);
  t.regex(ended.stdout, /^install \/usr\/bin\/curlingctl$/m);
  t.false(fs.existsSync(root));
});

test('ended by a signal, it leaves nothing in the folder for temporary files', async t => {
  const folder = makeFolder(t);
  const root = path.join(folder, 'root');
  const temporary = path.join(folder, 'tmp');
  fs.mkdirSync(temporary);
  const env = { ...toolEnvironment(), TMPDIR: temporary };
  const child = spawn('sh', [SCRIPT, '--files', '--destdir', root], { env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (child.exitCode === null && list(temporary).length === 0) await sleep(5);
  child.kill('SIGTERM');
  t.deepEqual(await ended, [1, null]);
  t.deepEqual(list(temporary), []);
  t.false(fs.existsSync(root));
});

test('every file of the checkout that belongs to an installation is in it', async t => {
  const root = makeFolder(t);
  t.is((await install(SCRIPT, root)).status, 0);
  const there = list(root);
  const expected = (folder: string, place: string, suffix = '') => {
    const source = path.join(REPOSITORY, folder);
    const names = fs.existsSync(source) ? fs.readdirSync(source) : [];
    for (const name of names) t.true(there.includes(`${place}/${name}${suffix}`), name);
  };
  expected('install/systemd', 'lib/systemd/system');
  expected('install/etc', 'etc/curling');
  expected('install/grafana', 'usr/share/curling/grafana');
  expected('install/prometheus', 'usr/share/curling/prometheus');
  expected('install/libvirt', 'usr/share/curling/libvirt');
  for (const section of ['1', '5', '7', '8']) {
    const pages = fs.existsSync(path.join(REPOSITORY, 'docs/man'))
      ? fs.readdirSync(path.join(REPOSITORY, 'docs/man')).filter(page => page.endsWith(section))
      : [];
    for (const page of pages) t.true(there.includes(`usr/share/man/man${section}/${page}.gz`));
  }
  const development = there.filter(name => /curling\/(build\/)?(test|bench|lab|demo)\b/.test(name));
  t.deepEqual(development, []);
  t.false(there.some(name => /node_modules\/(ava|typescript|pcap|fast-check)\b/.test(name)));
});

test("the operator's configuration is neither written nor removed", async t => {
  const script = path.join(makeCheckout(t), 'install/curling-install');
  const root = makeFolder(t);
  const file = path.join(root, CONFIGURATION);
  t.is((await install(script, root)).status, 0);
  t.is(fs.statSync(file).mode & 0o777, 0o640);
  fs.writeFileSync(file, '# mine\n');
  const key = path.join(root, 'etc/curling/keys');
  fs.writeFileSync(key, 'secret');
  t.regex((await install(script, root)).stdout, /example\.toml stays as it is/);
  t.is(fs.readFileSync(file, 'utf8'), '# mine\n');
  t.regex((await install(script, root, '--undo')).stdout, /example\.toml was changed and stays/);
  t.deepEqual(list(root), ['etc', 'etc/curling', 'etc/curling/example.toml', 'etc/curling/keys']);
});

test('an example that nobody changed is renewed, and removed', async t => {
  const checkout = makeCheckout(t);
  const script = path.join(checkout, 'install/curling-install');
  const root = makeFolder(t);
  t.is((await install(script, root)).status, 0);
  fs.writeFileSync(path.join(checkout, 'install/etc/example.toml'), '# newer\n');
  t.is((await install(script, root)).status, 0);
  t.is(fs.readFileSync(path.join(root, CONFIGURATION), 'utf8'), '# newer\n');
  fs.rmSync(path.join(checkout, 'install/etc/example.toml'));
  t.is((await install(script, root)).status, 0);
  t.false(fs.existsSync(path.join(root, CONFIGURATION)), 'the new version has no such file');
  t.is((await install(script, root, '--undo')).status, 0);
  t.deepEqual(list(root), []);
});

test("another program's file is not overwritten, and nothing else is done", async t => {
  const root = makeFolder(t);
  fs.mkdirSync(path.join(root, 'usr/bin'), { recursive: true });
  fs.writeFileSync(path.join(root, 'usr/bin/curlingctl'), 'another');
  const ended = await install(SCRIPT, root);
  t.is(ended.status, 4);
  t.regex(ended.stderr, /\/usr\/bin\/curlingctl/);
  t.deepEqual(list(root), ['usr', 'usr/bin', 'usr/bin/curlingctl']);
});

test('cut off while it writes, another run and undo heal', async t => {
  const root = makeFolder(t);
  t.is((await install(SCRIPT, root)).status, 0);
  const whole = list(root);
  const main = path.join(root, 'usr/lib/curling/build/proxy/main.js');
  fs.truncateSync(main, 100);
  fs.rmSync(path.join(root, 'usr/sbin/curling-witness'));
  t.is((await install(SCRIPT, root)).status, 0);
  t.deepEqual(list(root), whole);
  t.true(fs.statSync(main).size > 100);
  fs.truncateSync(main, 100);
  fs.rmSync(path.join(root, 'usr/sbin/curling-witness'));
  t.is((await install(SCRIPT, root, '--undo')).status, 0);
  t.deepEqual(list(root), []);
});
