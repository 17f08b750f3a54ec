/**
 * What a test double of QEMU's monitor answers about its guest, KVM's with 16 MiB and no devices. The same for a running
 * guest (FakeQemu) and for a standby (fake-standby.ts), so that two of them can be paired.
 */
import type { CommandHandler } from '../../common/qmp/server.ts';
import type { CommittedGuest } from '../../coordinator/checkpoint/store.ts';

export const FAKE_RAM_BYTES = 16 << 20;

/** A checkpoint of it, small. */
export const FAKE_COMMITTED: CommittedGuest = {
  layout: {
    machine: 'pc-x',
    subsections: Buffer.alloc(0),
    ram: { sectionId: 1, instanceId: 0, version: 4 },
    blocks: [{ name: 'pc.ram', bytes: 4096 }],
    mainBlock: 0,
  },
  mainPath: '/dev/null',
  otherBlocks: new Map(),
  device: Buffer.from([0]),
  epoch: 1,
  generation: 2,
};

/** @param machine The type that the machine says it has. */
export function guestAnswers(machine = 'pc-fake'): Record<string, CommandHandler> {
  return {
    'query-version': () => ({ qemu: { major: 7, minor: 2, micro: 0 }, package: 'fake' }),
    'query-memory-size-summary': () => ({ 'base-memory': FAKE_RAM_BYTES, 'plugged-memory': 0 }),
    'query-kvm': () => ({ enabled: true, present: true }),
    'query-cpus-fast': () => [],
    'query-pci': () => [],
    'qom-get': ({ path, property }) => {
      if (path === '/machine') return property === 'memory-backend' ? '/objects/pc.ram' : machine;
      return property === 'size' ? FAKE_RAM_BYTES : false;
    },
    'qom-list': () => [],
    'query-block': () => [],
    'query-chardev': () => [],
    'query-tpm': () => [],
    'human-monitor-command': () => '',
    'query-status': () => ({ running: true, status: 'running' }),
    'query-migrate': () => ({}),
    'query-migrate-capabilities': () =>
      ['x-colo', 'events', 'x-ignore-shared'].map(capability => ({ capability, state: false })),
    'migrate-set-capabilities': () => ({}),
    'migrate-set-parameters': () => ({}),
    'migrate-incoming': () => ({}),
    'x-colo-lost-heartbeat': () => ({}),
    migrate: () => ({}),
    migrate_cancel: () => ({}),
    cont: () => ({}),
  };
}
