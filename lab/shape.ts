/** What a test guest is made of, as QEMU's options: machine, memory, network cards. */
import { readFileSync } from 'node:fs';
import { CurlingError } from '../common/errors.ts';
import { guestMac } from './addresses.ts';

export const MACHINES = ['pc', 'q35', 'microvm'] as const;
export type MachineName = (typeof MACHINES)[number];

/** The oldest machine type that QEMU 7.2 has: of 2013, with streams in the form of then. */
export const OLD_MACHINE = 'pc-i440fx-1.4';

export type CardModel = 'virtio-net' | 'e1000';

/** What backs the guest's memory; without one QEMU takes anonymous memory and names it itself. */
export interface MemoryBackend {
  type: 'ram' | 'memfd' | 'file';
  /** Of the backend, and so of the RAM block. */
  id: string;
  share?: boolean;
  /** Of a memfd: in huge pages, of which the machine must have enough free ones. Default false. */
  hugetlb?: boolean;
  /** Of a file. */
  path?: string;
}

export interface GuestShape {
  /** Default pc. */
  machine?: MachineName | typeof OLD_MACHINE;
  /** Default virtio-net. e1000 needs a kernel that has it (ImageOptions.flavour). */
  card?: CardModel;
  memory?: MemoryBackend;
}

/** `-machine`, and `-object` with a backend. */
export function machineArguments(shape: GuestShape, ramBytes: number): string[] {
  const { machine = 'pc', memory } = shape;
  if (!memory) return ['-machine', machine];
  const { type, id, share = false, hugetlb = false, path } = memory;
  const more = [hugetlb ? ',hugetlb=on' : '', path === undefined ? '' : `,mem-path=${path}`];
  const backend = `memory-backend-${type},id=${id},size=${ramBytes},share=${share ? 'on' : 'off'}`;
  return ['-object', backend + more.join(''), '-machine', `${machine},memory-backend=${id}`];
}

/**
 * A card on each tap, net0 on the first.
 * @throws CurlingError CURLING_USAGE for a card that this machine type has no bus for
 */
export function cardArguments(shape: GuestShape, taps: readonly string[]): string[] {
  const { machine = 'pc', card = 'virtio-net' } = shape;
  return taps.flatMap((tap, index) => [
    ...['-netdev', `tap,id=net${index},ifname=${tap},script=no,downscript=no,vhost=off`],
    ...['-device', `${device(machine, card)},netdev=net${index},mac=${macAt(tap)}`],
  ]);
}

/** Each tap of a host has another one, whoever's it is. */
function macAt(tap: string): string {
  return guestMac(Number(tap.replace(/\D/g, '')));
}

/** Without the boot ROM, which nothing boots from. */
function device(machine: GuestShape['machine'], card: CardModel): string {
  if (card === 'virtio-net' && machine === 'microvm') return 'virtio-net-device';
  if (machine === 'microvm')
    throw new CurlingError('CURLING_USAGE', `a microvm has no PCI bus for ${card}`);
  return `${card === 'virtio-net' ? 'virtio-net-pci' : card},romfile=`;
}

/**
 * Words for the guest's kernel. ACPI is left out for a quick boot where PCI can be found without it; a microvm's devices
 * are in ACPI alone (Debian's kernels have no CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES). Its hardware-reduced ACPI has no timer
 * to measure the processor's by: under KVM kvmclock tells, under TCG, which has the host's counter, the command line.
 */
export function kernelWords({ machine = 'pc' }: GuestShape): string {
  return machine === 'microvm' ? `tsc_early_khz=${hostKhz()}` : 'acpi=off';
}

/** Of the host's processor, as /proc/cpuinfo has it. */
function hostKhz(): number {
  const megahertz = /^cpu MHz\s*:\s*([0-9.]+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  return Math.round(Number(megahertz ?? 2_000) * 1_000);
}
