/** The guest whose pages are replicated: memory alone, which nobody runs. */
import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';

export const VM = 'vm1';

export const MAIN = { name: 'pc.ram', bytes: 256 << 20 };

export const LAYOUT: GuestLayout = {
  machine: 'pc-i440fx-7.2',
  subsections: Buffer.alloc(0),
  ram: { sectionId: 2, instanceId: 0, version: 4 },
  blocks: [MAIN],
  mainBlock: 0,
};
