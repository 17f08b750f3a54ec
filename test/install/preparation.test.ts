import test from 'ava';
import type { Link } from '../../proxy/links.ts';
import { checkPreparation, preparationFacts } from '../../proxy/preparation.ts';
import type { Surroundings } from '../../proxy/surroundings.ts';

function link(name: string, more: Partial<Link> = {}): Link {
  const known = { index: 7, mtu: 1500, flags: ['UP', 'LOWER_UP'], port: {}, portKind: '' };
  const nowhere = { master: undefined, lower: undefined, mac: '02:00:00:00:00:07' };
  return { name, kind: 'tun', info: { type: 'tap', persist: true }, ...known, ...nowhere, ...more };
}

function bridge(name: string, more: Partial<Link> = {}): Link {
  return link(name, { kind: 'bridge', info: { vlan_filtering: 0 }, ...more });
}

const UPLINK = link('eth0', { kind: '', info: {}, master: 'br0' });

/** A host whose bridge br0 has eth0 and the default route, and with tap0 on the bridge unless others are given. */
function host(links: Link[] = [link('tap0', { master: 'br0' })], more: Partial<Surroundings> = {}) {
  const now: Surroundings = {
    links: [bridge('br0'), UPLINK, ...links],
    addresses: [],
    routes: [{ link: 'br0', gateway: '192.0.2.1' }],
    neighbours: new Map([['192.0.2.1', '02:00:00:00:00:01']]),
    portOf: new Map([['02:00:00:00:00:01', 'eth0']]),
    ingress: { hook: false, ours: undefined, taken: false },
  };
  return { ...now, ...more };
}

test('a tap on its bridge, beside it, and not there yet may be prepared', t => {
  t.notThrows(() => checkPreparation('tap0', undefined, host()));
  t.notThrows(() => checkPreparation('tap0', 'br0', host()));
  t.notThrows(() => checkPreparation('tap0', 'br0', host([link('tap0')])));
  t.notThrows(() => checkPreparation('tap0', 'br0', host([])));
});

test('the end of a veth may be prepared', t => {
  const veth = link('tap0', { kind: 'veth', info: {}, master: 'br0' });
  t.notThrows(() => checkPreparation('tap0', 'br0', host([veth])));
});

test('a tap that a proxy serves may be prepared again', t => {
  const port = link('cp-tap0', { master: 'br0', mac: 'fe:63:75:00:00:07' });
  t.notThrows(() => checkPreparation('tap0', 'br0', host([link('tap0', { master: 'br0' }), port])));
});

test('a bridge is required while the tap is on none', t => {
  for (const links of [[], [link('tap0')]])
    t.throws(() => checkPreparation('tap0', undefined, host(links)), { code: 'CURLING_USAGE' });
});

const ON = { master: 'br0' };
const REFUSED: Record<string, { now: Surroundings; code: string; says: RegExp; bridge?: string }> =
  {
    'a physical interface': {
      now: host([link('tap0', { kind: '', info: {}, ...ON })]),
      code: 'CURLING_HOST_LINK',
      says: /interface of this host/,
    },
    'the port of the default route': {
      now: host([link('tap0')], { routes: [{ link: 'tap0', gateway: undefined }] }),
      code: 'CURLING_HOST_LINK',
      says: /default route/,
    },
    'what a VLAN with the default route stands on': {
      now: host([link('tap0'), link('lan', { kind: 'vlan', info: {}, lower: 'tap0' })], {
        routes: [{ link: 'lan', gateway: '192.0.2.1' }],
      }),
      code: 'CURLING_HOST_LINK',
      says: /default route/,
    },
    'a tap with an address': {
      now: host([link('tap0')], { addresses: ['198.51.100.1/24'] }),
      code: 'CURLING_HOST_LINK',
      says: /198\.51\.100\.1\/24/,
    },
    'the port behind which the gateway is': {
      now: host(undefined, { portOf: new Map([['02:00:00:00:00:01', 'tap0']]) }),
      code: 'CURLING_HOST_LINK',
      says: /gateway 192\.0\.2\.1 is behind tap0/,
    },
    'the only port of the bridge of the default route': {
      now: { ...host(), links: [bridge('br0'), link('tap0', ON)], neighbours: new Map() },
      code: 'CURLING_HOST_LINK',
      says: /only port/,
    },
    'a macvtap': {
      now: host([link('tap0', { kind: 'macvtap', info: {} })]),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /macvtap/,
    },
    'a port of Open vSwitch': {
      now: host([link('tap0', { master: 'ovs-system', portKind: 'openvswitch' })]),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /Open vSwitch is not supported/,
    },
    'a bridge of Open vSwitch': {
      now: { ...host([link('tap0')]), links: [bridge('br0', { kind: 'openvswitch' })] },
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /Open vSwitch is not supported/,
    },
    'a tun': {
      now: host([link('tap0', { info: { type: 'tun' } })]),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /no Ethernet/,
    },
    'a bond': {
      now: host([link('tap0', { kind: 'bond', info: {} })]),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /bond/,
    },
    "the proxy's own port": {
      now: host([link('tap0', { ...ON, mac: 'fe:63:75:00:00:07' })]),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /own port/,
    },
    'a bridge that filters VLANs': {
      now: { ...host(), links: [bridge('br0', { info: { vlan_filtering: 1 } }), link('tap0', ON)] },
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /VLANs/,
    },
    'an ingress filter where the proxy needs its own': {
      now: host(undefined, { ingress: { hook: true, ours: undefined, taken: true } }),
      code: 'CURLING_TAP_UNSUPPORTED',
      says: /preference 1/,
    },
    'a bridge that is not there': {
      now: { ...host([]), links: [] },
      code: 'CURLING_TAP_NOT_ON_BRIDGE',
      says: /no bridge br0/,
    },
    'a bridge that is none': {
      now: host([link('tap0'), link('br9', { kind: 'bond', info: {} })]),
      bridge: 'br9',
      code: 'CURLING_TAP_NOT_ON_BRIDGE',
      says: /no Linux bridge/,
    },
    'a bridge that is down': {
      now: { ...host([]), links: [bridge('br0', { flags: [] })] },
      code: 'CURLING_TAP_NOT_ON_BRIDGE',
      says: /down/,
    },
    'a port of another bridge': {
      now: host([link('tap0', { master: 'br1' }), bridge('br1')]),
      code: 'CURLING_TAP_NOT_ON_BRIDGE',
      says: /port of br1, not of br0/,
    },
    'a name of the own port that is taken': {
      now: host([link('tap0', ON), link('cp-tap0', { kind: 'veth', info: {} })]),
      code: 'CURLING_BUSY',
      says: /cp-tap0/,
    },
  };

for (const [what, { now, code, says, bridge: name = 'br0' }] of Object.entries(REFUSED)) {
  test(`refused: ${what}`, t => {
    t.throws(() => checkPreparation('tap0', name, now), { code, message: says });
  });
}

test('of a tap that a killed proxy left closed, the facts are those from before the proxy', t => {
  const port = { isolated: true, multicast_router: 2 };
  const ours = { isolated: false, hook: false, router: 1 };
  const now = host([link('tap0', { master: 'br0', port })], {
    ingress: { hook: true, ours, taken: false },
  });
  const facts = preparationFacts('tap0', undefined, now);
  t.like(facts, { tap_closed: 'yes', tap_hook: 'none', tap_isolated: 'off', tap_router: '1' });
});

test('what is not there is none', t => {
  const facts = preparationFacts('tap9', undefined, host());
  t.like(facts, { tap_index: 'none', tap_master: 'none', bridge_name: 'none', tap_used: 'no' });
});
