import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { VERSION } from '../../common/version.ts';
import { type Ended, outcome, REPOSITORY } from './host.ts';

const NEEDS = '(needs root, namespaces)';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-package-'));
const OVERLAY = path.join(REPOSITORY, 'test/install/overlay.sh');
/** Of dpkg itself and of the trigger of man-db. */
const OTHERS = /^left \/var\/(lib\/dpkg\/|log\/|cache\/(man|ldconfig|debconf)\/)/;
let file = '';

test.before(async t => {
  const built = await outcome('sh', [path.join(REPOSITORY, 'install/deb.sh'), folder]);
  t.is(built.status, 0, built.stderr);
  file = path.join(folder, fs.readdirSync(folder).find(name => name.endsWith('.deb'))!);
});
test.after.always(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Runs a script as root of a copy of this machine; what it left behind is at the end of the output. */
function onCopy(script: string): Promise<Ended> {
  const command = ['sh', OVERLAY, file, 'sh', '-euc', script];
  const own = ['--mount', '--net', '--pid', '--fork', '--kill-child'];
  return outcome('unshare', [...own, ...command]);
}

/** Without what was left behind. */
function said(ended: Ended): string {
  return `${ended.stdout}${ended.stderr}`.replaceAll(/^(left|made) .*\n/gm, '');
}

function remains(ended: Ended): string[] {
  const lines = ended.stdout.split('\n').filter(line => /^(left|made) \//.test(line));
  return lines.filter(line => !OTHERS.test(line));
}

// Node of this machine may come from no package, so its absence is no matter here. The triggers are of other packages.
const DPKG =
  'export DEBIAN_FRONTEND=noninteractive; dpkg --no-triggers --force-depends --install /srv/*.deb';
const PURGE = 'dpkg --no-triggers --purge curling';

/**
 * Says what the installed status page serves, and what it lacks. The path is in two parts, or the shell that has this in its
 * command line would count as a process of the package.
 */
const PAGE = `
  const { assetRoutes } = await import('/usr/lib' + '/curling/build/coordinator/page/assets.js');
  const routes = assetRoutes({ warn: console.log });
  console.log('page: ' + Object.keys(routes).join(' '));`;

test.serial(`what a script leaves running ends with its copy of the machine ${NEEDS}`, async t => {
  const seconds = `300.${process.pid}`;
  const ended = await onCopy(`sleep ${seconds} >/dev/null 2>&1 & false`);
  t.is(ended.status, 1);
  const processes = fs.readdirSync('/proc').filter(name => /^\d+$/.test(name));
  const lines = processes.map(pid => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return ''; // it has just ended
    }
  });
  t.false(lines.includes(`sleep\0${seconds}\0`));
});

test.serial(`the package is the same when it is made again ${NEEDS}`, async t => {
  const first = fs.readFileSync(file);
  const built = await outcome('sh', [path.join(REPOSITORY, 'install/deb.sh'), folder]);
  t.is(built.status, 0, built.stderr);
  t.true(first.equals(fs.readFileSync(file)));
});

test.serial(`installed, its programs run; purged, nothing of it is left ${NEEDS}`, async t => {
  const ended = await onCopy(`
    ${DPKG}
    curlingctl --version
    for program in curling-proxy curling-coordinator curling-witness curling-install; do
      $program --version
      $program --help | head -n 1
    done
    for page in 1/curlingctl 5/curling.toml 7/curling 8/curling-proxy 8/curling-install; do
      man -w \${page%/*} \${page#*/}
    done
    stat -c '%a %U:%G %n' /etc/curling
    cd /
    node --input-type=module -e "${PAGE}"
    curling-proxy --tap nosuchtap --config none || echo "status $?"
    curling-witness init --store /srv/registers
    curling-witness --listen 127.0.0.1:7700 --store /srv/registers --config none &
    sleep 0.1
    until grep -q 'CapBnd:.*0000000000000000' /proc/$!/status; do sleep 0.1; done
    echo "keeps no capability"
    if ${PURGE}; then echo 'purged under a running daemon'; fi
    kill $!
    wait $! || :
    ${PURGE}
  `);
  t.is(ended.status, 0, said(ended));
  t.regex(ended.stdout, new RegExp(`^curlingctl ${VERSION} `, 'm'));
  for (const program of ['curling-proxy', 'curling-coordinator', 'curling-witness']) {
    t.regex(ended.stdout, new RegExp(`^${program} ${VERSION} `, 'm'));
    t.regex(ended.stdout, new RegExp(`^Usage: ${program} `, 'im'));
  }
  t.regex(
    ended.stdout,
    /^page: \/house.css \/house.js \/page.css \/page.js \/plots.js \/uplot.css \/uplot.js /m,
  );
  for (const page of ['man1/curlingctl.1', 'man5/curling.toml.5', 'man8/curling-install.8'])
    t.true(ended.stdout.includes(`/usr/share/man/${page}.gz`));
  t.true(ended.stdout.includes('755 root:root /etc/curling'));
  t.regex(ended.stderr, /CURLING_TAP_NOT_FOUND/);
  t.true(ended.stdout.includes('status 4'));
  t.true(ended.stdout.includes('keeps no capability'));
  t.regex(ended.stderr, /these processes run from the package/);
  t.false(ended.stdout.includes('purged under a running daemon'));
  t.deepEqual(remains(ended), []);
});

test.serial(
  `purged, what the operator made is left, and what a witness keeps ${NEEDS}`,
  async t => {
    const ended = await onCopy(`
    ${DPKG}
    curlingctl keygen kvm1 kvm2 --file /etc/curling/keys
    mkdir -p /var/lib/curling /etc/systemd/system/multi-user.target.wants
    echo registers >/var/lib/curling/registers
    ln -s /lib/systemd/system/curling-nothing.service /etc/systemd/system/multi-user.target.wants/curling-nothing.service
    ${PURGE}
  `);
    t.is(ended.status, 0, said(ended));
    t.regex(ended.stdout, /\/etc\/curling stays/);
    const expected = ['/etc/curling', '/etc/curling/keys', '/var/lib/curling'];
    const left = remains(ended).map(line => line.replace(/^(left|made) /, ''));
    t.deepEqual(left.sort(), [...expected, '/var/lib/curling/registers']);
  },
);

test.serial(`removal is refused while a tap is prepared ${NEEDS}`, async t => {
  const ended = await onCopy(`
    ${DPKG}
    ip link add br0 type bridge
    ip link set br0 up
    curling-install --tap tap0 --bridge br0 --no-enable
    if dpkg --remove curling; then echo removed; fi
    curling-install --tap tap0 --undo
    ${PURGE}
  `);
  t.is(ended.status, 0, said(ended));
  t.regex(ended.stderr, /tap0 is prepared; first: curling-install --tap tap0 --undo/);
  t.false(/^removed$/m.test(ended.stdout));
  t.deepEqual(remains(ended), []);
});

test.serial(`an upgrade starts nothing and names what runs ${NEEDS}`, async t => {
  const ended = await onCopy(`
    ${DPKG}
    curling-witness init --store /srv/registers
    curling-witness --listen 127.0.0.1:7700 --store /srv/registers --config none &
    sleep 0.5
    echo "runs $!"
    ${DPKG}
    kill -0 $!
    kill $!
    wait $! || :
    ${PURGE}
  `);
  t.is(ended.status, 0, said(ended));
  const pid = /^runs (\d+)$/m.exec(ended.stdout)![1];
  t.regex(ended.stdout, new RegExp(`go on with the version .*: ${pid}$`, 'm'));
});

test.serial(`from a checkout into / and back leaves nothing ${NEEDS}`, async t => {
  const ended = await onCopy(`
    sh /srv/checkout/install/curling-install --files
    curlingctl --version
    curling-install --files --undo
  `);
  t.is(ended.status, 0, said(ended));
  t.regex(ended.stdout, new RegExp(`^curlingctl ${VERSION} `, 'm'));
  t.deepEqual(remains(ended), []);
});
