/** Whether this host can run curling at all: its kernel, Node, privileges, clock and sizes. Pure. */
import type { Capability } from '../../common/capabilities.ts';
import { type Finding, finding, TIERS, type Tier } from './finding.ts';
import type { RehearsalStep } from './rehearsal.ts';

export interface HostFacts {
  node: string;
  /** Why koffi cannot be loaded; undefined: it can. */
  koffi: string | undefined;
  /** Versions of optional packages; null: not installed. */
  addons: Readonly<Record<string, string | null>>;
  /** Tools that are not on PATH. */
  toolsMissing: readonly string[];
  /** As uname says. */
  kernel: string;
  root: boolean;
  /** Capabilities that daemons need and this process has not. */
  capabilitiesMissing: readonly Capability[];
  /** What the datapath needs of the kernel, done once in a network namespace of its own. */
  rehearsal: readonly RehearsalStep[];
  /** `bridge-nf-call-iptables`; undefined where bridges call no firewall. */
  bridgeCallsFirewall: boolean | undefined;
  /** Whether the kernel's clock is disciplined; undefined: it cannot be told. */
  clockSynchronised: boolean | undefined;
  clockSource: string;
  swappiness: number;
  swapBytes: number;
  /** vm.overcommit_memory */
  overcommit: number;
}

/** eBPF can read `gso_size` of a frame since then: proxy/frame-filter.ts. */
const KERNEL_MIN = [5, 7] as const;
const NODE_MIN = [20, 19] as const;
/** A source of time that is read without leaving the guest or the processor. */
const FAST_CLOCKS = /^(tsc|kvm-clock|arch_sys_counter|hyperv_clocksource)/;
const SWAPPINESS_MAX = 10;

const ADDON_USES: Record<string, string> = {
  '@node-rs/xxhash': 'the speed of replication',
  pcap: '`curling-proxy --record`',
  'raw-socket': '--gateway',
};

export function judgeHost(facts: HostFacts): Finding[] {
  return [
    ...software(facts),
    ...privileges(facts),
    ...kernel(facts),
    ...clock(facts),
    ...sizes(facts),
  ];
}

function software({ node, koffi, addons, toolsMissing }: HostFacts): Finding[] {
  return [
    finding('must', 'node', {
      ok: atLeast(node, NODE_MIN),
      found: node,
      todo: `install Node ${NODE_MIN.join('.')} or later`,
    }),
    finding('must', 'koffi', {
      ok: koffi === undefined,
      found: koffi ?? 'loads',
      todo: 'install curling again for this processor and C library: npm ci, or the package',
    }),
    finding('must', 'ip, bridge, tc', {
      ok: toolsMissing.length === 0,
      found: toolsMissing.length === 0 ? 'installed' : `no ${toolsMissing.join(', ')} on PATH`,
      todo: 'apt-get install iproute2',
    }),
    ...Object.entries(addons).map(([name, version]) =>
      finding('could', name, {
        ok: version !== null,
        found: version ?? 'not installed',
        todo: `only ${ADDON_USES[name] ?? 'some options'} needs it: npm install ${name}`,
      }),
    ),
  ];
}

/** What capabilities are for; docs/operations.md has all of them. */
const CAPABILITIES: Readonly<Record<Tier, { names: readonly Capability[]; without: string }>> = {
  must: { names: ['NET_ADMIN', 'NET_RAW', 'BPF'], without: 'no output can be held' },
  should: {
    names: ['SYS_PTRACE', 'DAC_OVERRIDE', 'KILL'],
    without: 'a QEMU of another user cannot be protected or ended',
  },
  could: {
    names: ['IPC_LOCK', 'SYS_RESOURCE', 'SYS_NICE'],
    without: 'a standby cannot have memory that is locked or huge, nor priorities',
  },
};
export const CAPABILITIES_NEEDED = TIERS.flatMap(tier => CAPABILITIES[tier].names);

function privileges({ root, capabilitiesMissing }: HostFacts): Finding[] {
  return TIERS.map(tier => {
    const { names, without } = CAPABILITIES[tier];
    const missing = names.filter(name => capabilitiesMissing.includes(name));
    const list = (some: readonly Capability[]) => some.map(name => `CAP_${name}`).join(' ');
    return finding(tier, 'capabilities', {
      ok: missing.length === 0,
      found: missing.length === 0 ? list(names) : `no ${list(missing)}: ${without}`,
      todo: root
        ? 'give them to this container or service'
        : 'run this check as root, as daemons are',
    });
  });
}

function kernel({ kernel: release, rehearsal, bridgeCallsFirewall }: HostFacts): Finding[] {
  return [
    finding('must', 'kernel', {
      ok: atLeast(release, KERNEL_MIN),
      found: `Linux ${release}`,
      todo: `boot Linux ${KERNEL_MIN.join('.')} or later`,
    }),
    ...rehearsal.map(({ what, error, todo }) =>
      finding('must', what, { ok: error === undefined, found: error ?? 'works', todo }),
    ),
    finding('could', 'bridge-nf-call', {
      ok: bridgeCallsFirewall !== true,
      found:
        bridgeCallsFirewall === true
          ? 'bridged frames go through iptables, which costs 12 to 15 % of bulk throughput'
          : 'bridged frames do not go through iptables',
      todo: 'sysctl net.bridge.bridge-nf-call-iptables=0, unless something filters there',
    }),
  ];
}

function clock({ clockSynchronised, clockSource }: HostFacts): Finding[] {
  const synchronised = {
    ok: clockSynchronised !== false,
    found:
      clockSynchronised === undefined
        ? 'cannot be told here'
        : clockSynchronised
          ? 'synchronised'
          : 'not synchronised: times in logs and events will not agree between hosts',
    todo: 'run chrony or systemd-timesyncd; no decision of curling depends on it',
  };
  return [
    finding('could', 'clock', synchronised),
    finding('could', 'clock source', {
      ok: FAST_CLOCKS.test(clockSource),
      found: clockSource || 'unknown',
      todo: 'every reading of time is slow with it: choose tsc or kvm-clock where they are stable',
    }),
  ];
}

function sizes({ swappiness, swapBytes, overcommit }: HostFacts): Finding[] {
  return [
    finding('could', 'swap', {
      ok: swapBytes === 0 || swappiness <= SWAPPINESS_MAX,
      found: swapBytes === 0 ? 'none' : `on, vm.swappiness ${swappiness}`,
      todo: `a guest or a copy of one that is swapped out is slow to take over: vm.swappiness=${SWAPPINESS_MAX} or less`,
    }),
    finding('could', 'overcommit', {
      ok: overcommit !== 2,
      found: `vm.overcommit_memory ${overcommit}`,
      todo: 'with 2 a spare QEMU may be refused its memory: count the guest twice on a backup',
    }),
  ];
}

/** Whether a version, as `6.1.0-28-amd64`, is not older. */
export function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, first = 0, second = 0] = /^v?(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  return first > major || (first === major && second >= minor);
}
