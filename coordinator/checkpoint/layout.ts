/** What a checkpoint is made of: the guest's RAM blocks, and the parts of QEMU's stream that frame them. */

/** QEMU's target page on x86, and the page of this project's wire and store. */
export const PAGE_BYTES = 4096;

/** One RAM block as QEMU lists it; its index in `GuestLayout.blocks` names it from then on. */
export interface RamBlock {
  /** At most 255 bytes, e.g. pc.ram, microvm.ram, vga.vram, 0000:00:03.0/virtio-net-pci.rom. */
  name: string;
  /** Used length in bytes. */
  bytes: number;
}

/** How the `ram` section is named in this QEMU's stream; the id differs by version. */
export interface RamSection {
  sectionId: number;
  instanceId: number;
  version: number;
}

/** All that a resume needs besides pages and device state. Constant during one protection. */
export interface GuestLayout {
  /** The machine's name in the configuration section, e.g. pc-i440fx-7.2; empty in the old form. */
  machine: string;
  /** Subsections of the configuration section as they came, without `configuration/capabilities`. */
  subsections: Buffer;
  /** Streams have neither a configuration section nor footers: machine types before 2.4. */
  oldForm?: boolean;
  ram: RamSection;
  blocks: RamBlock[];
  /** Index of the block that the backup keeps in the shadow file: the guest's main memory. */
  mainBlock: number;
}
