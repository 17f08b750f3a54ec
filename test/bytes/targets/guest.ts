/** What QEMU says of its guest over QMP, and what another host says of its own. */
import type { QmpClient } from '../../../common/qmp/client.ts';
import { compareGuests, describeGuest } from '../../../coordinator/qemu/guest-description.ts';
import { codeOf, must, type Target } from '../target.ts';

const ANSWERS = {
  'query-version': { qemu: { major: 7, minor: 2, micro: 22 }, package: '' },
  'query-memory-size-summary': { 'base-memory': 16777216, 'plugged-memory': 0 },
  'query-kvm': { enabled: true, present: true },
  'query-cpus-fast': [{ 'qom-path': '/machine/cpu[0]' }],
  'query-pci': [
    {
      bus: 0,
      devices: [
        {
          slot: 3,
          function: 0,
          id: { vendor: 6900, device: 4096 },
          class_info: { class: 512 },
          regions: [{ bar: 0, type: 'memory', size: 4096 }],
        },
      ],
    },
  ],
  'qom-get': 'pc-i440fx-7.2-machine',
  'qom-list': [{ name: 'net0', type: 'child<virtio-net-pci>' }],
};

export const GUEST_ANSWERS: Target = {
  name: "QEMU's answers about its guest",
  seeds: [Buffer.from(JSON.stringify(ANSWERS))],
  words: ['[]', '{}', 'null', '"x"', '{"toString":1,"valueOf":1}', '-1', '1e308', '[[[['].map(
    text => Buffer.from(text),
  ),
  racing: true,
  allocatedMax: bytes => 16 * bytes + (64 << 10),
  async run({ input }) {
    let answers: Record<string, unknown>;
    try {
      answers = JSON.parse(input.toString('utf8')) as Record<string, unknown>;
    } catch {
      return 'no JSON';
    }
    const qmp = { execute: async (command: string) => answers?.[command] } as unknown as QmpClient;
    try {
      const guest = await describeGuest(qmp);
      must(
        compareGuests(guest, JSON.parse(JSON.stringify(guest))).length === 0,
        'it equals itself',
      );
      must(
        compareGuests(guest, answers).every(line => line.length < 1000),
        'differences are words',
      );
      return 'described';
    } catch (error) {
      return codeOf(error);
    }
  },
};
