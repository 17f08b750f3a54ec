import test from 'ava';
import fc from 'fast-check';
import { portName } from '../../proxy/bridge.ts';
import { parseProcessors } from '../../proxy/cpu-barrier.ts';
import { foundStateOf, handleOf } from '../../proxy/drop-filter.ts';
import { GuestMacs } from '../../proxy/guest-macs.ts';
import { judgePorts } from '../../proxy/link-watch.ts';
import { type Link, parseLinks } from '../../proxy/links.ts';
import { mayCapture } from '../../proxy/privileges.ts';

function link(index: number, name: string, flags = ['UP', 'LOWER_UP']): Link {
  const known = { lower: undefined, mac: '', portKind: 'bridge', info: {}, port: {} };
  return { index, name, flags, mtu: 1500, kind: 'tun', master: 'br0', ...known };
}

test('the handle of the drop filter remembers how the tap was', t => {
  for (const isolated of [false, true]) {
    for (const hook of [false, true]) {
      for (const router of [0, 1, 2, 3]) {
        const found = { isolated, hook, router };
        t.deepEqual(foundStateOf(handleOf(found)), found);
      }
    }
  }
  t.deepEqual(foundStateOf(0x43750003), { isolated: true, hook: true, router: 1 });
  t.is(foundStateOf(1), undefined);
  t.is(foundStateOf(0x43760000), undefined);
});

test('the name of the own tap fits and is that of one tap alone', t => {
  t.is(portName(link(7, 'tap0')), 'cp-tap0');
  t.is(portName(link(7, 'vm-123456789')), 'cp-vm-123456789');
  const one = portName(link(7, 'vnet-long-name1'));
  const other = portName(link(8, 'vnet-long-name2'));
  t.is(one.length, 15);
  t.not(one, other);
});

test('a row of ip that is no interface is left out; text that is no list is refused', t => {
  t.deepEqual(parseLinks(''), []);
  t.deepEqual(parseLinks('[{},{"ifname":"a"},[1],null]'), []);
  t.throws(() => parseLinks('{"ifname":'), { code: 'CURLING_TOOL_FAILED' });
  t.throws(() => parseLinks('{}'), { code: 'CURLING_TOOL_FAILED' });
});

test('the watch sees a tap that is down, gone, or replaced by another of its name', t => {
  const tap = link(4, 'tap0');
  const found = { isolated: false, hook: false, router: 1 };
  const site = { tap, bridge: 'br0', found, closed: false };
  const port = link(5, 'cp-tap0');
  t.is(judgePorts(site, 'cp-tap0', [tap, port]), 'up');
  t.is(judgePorts(site, 'cp-tap0', [link(4, 'tap0', ['UP']), port]), 'down');
  t.throws(() => judgePorts(site, 'cp-tap0', [port]), { code: 'CURLING_TAP_GONE' });
  t.throws(() => judgePorts(site, 'cp-tap0', [link(9, 'tap0'), port]), {
    code: 'CURLING_TAP_GONE',
  });
  t.throws(() => judgePorts(site, 'cp-tap0', [tap]), { code: 'CURLING_DATAPATH' });
});

test('each source address is learned once, group addresses never, and not more than the bound', t => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 300 }), sources => {
      const macs = new GuestMacs();
      const learned: string[] = [];
      for (const source of sources) {
        const frame = Buffer.alloc(14);
        frame[6] = source % 2 === 0 ? 2 : 3;
        frame[11] = source;
        const mac = macs.learn(frame, 0);
        if (mac !== undefined) learned.push(mac);
      }
      const expected = [...new Set(sources.filter(source => source % 2 === 0))]
        .slice(0, 64)
        .map(source => `02:00:00:00:00:${source.toString(16).padStart(2, '0')}`);
      t.deepEqual(learned, expected);
      t.deepEqual(macs.list(), expected);
    }),
  );
  const macs = new GuestMacs();
  for (let source = 0; source < 100; source++) {
    macs.learn(Buffer.from([0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, source]), 0);
  }
  t.is(macs.list().length, 64);
  t.is(macs.ignored, 36);
});

test('processor lists and capabilities are read as the kernel writes them', t => {
  t.deepEqual(parseProcessors('0-3,5\n'), [0, 1, 2, 3, 5]);
  t.deepEqual(parseProcessors(''), []);
  t.true(mayCapture('CapPrm:\t0\nCapEff:\t0000000000003000\n'));
  t.false(mayCapture('CapEff:\t0000000000001000\n'));
  t.false(mayCapture('CapEff:\t0000000000000000\n'));
});
