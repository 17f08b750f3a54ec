/**
 * The guest's kernel: Debian's cloud kernel with the modules that virtio-net needs, in the order in which they load.
 * Taken from the installed linux-image-cloud-amd64, or from the copy that install/setup.sh unpacks into build/kernel
 * (a host of its own kernel need not install, and by accident boot, a second one). The generic kernel, which has drivers
 * for the cards that QEMU emulates, is only for those: linux-image-amd64, or the copy in build/kernel-generic.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { inRepository } from './paths.ts';
import { entriesOf } from './processes.ts';

export interface Kernel {
  flavour: KernelFlavour;
  /** E.g. `6.1.0-56-cloud-amd64`. */
  version: string;
  /** The bootable image. */
  path: string;
  /** `/lib/modules/VERSION/kernel`. */
  moduleDirectory: string;
}

export interface KernelModule {
  /** With underscores, as in modinfo. */
  name: string;
  /** The uncompressed module. */
  content: Buffer;
}

export type KernelFlavour = 'cloud' | 'generic';

/** What the guest's cards need; their dependencies are found. */
const MODULES_WANTED: Readonly<Record<KernelFlavour, readonly string[]>> = {
  cloud: ['virtio_pci', 'virtio_mmio', 'virtio_net'],
  generic: ['virtio_pci', 'virtio_net', 'e1000'],
};
const IMAGE_PREFIX = 'vmlinuz-';
const IMAGES: Readonly<Record<KernelFlavour, RegExp>> = {
  cloud: /^vmlinuz-\d.*-cloud-amd64$/,
  generic: /^vmlinuz-\d[\d.-]*-amd64$/,
};
const UNPACKED: Readonly<Record<KernelFlavour, string>> = {
  cloud: 'build/kernel',
  generic: 'build/kernel-generic',
};

/**
 * The newest kernel of a flavour that has its modules.
 * @throws CurlingError CURLING_TOOL_MISSING when there is none
 */
export function findKernel(
  flavour: KernelFlavour = 'cloud',
  roots: readonly string[] = [inRepository(UNPACKED[flavour]), '/'],
): Kernel {
  for (const root of roots) {
    const images = entriesOf(join(root, 'boot')).filter(name => IMAGES[flavour].test(name));
    images.sort((left, right) => right.localeCompare(left, 'en', { numeric: true }));
    for (const image of images) {
      const version = image.slice(IMAGE_PREFIX.length);
      // Where /lib is no link to /usr/lib, an unpacked package has only one of the two.
      for (const lib of ['lib', 'usr/lib']) {
        const moduleDirectory = join(root, lib, 'modules', version, 'kernel');
        if (existsSync(moduleDirectory))
          return { flavour, version, path: join(root, 'boot', image), moduleDirectory };
      }
    }
  }
  const text = `no Debian ${flavour} kernel in ${roots.join(' or ')}; sh install/setup.sh fetches it`;
  throw new CurlingError('CURLING_TOOL_MISSING', text);
}

/** The wanted modules and all that they depend on, each after what it depends on. */
export function readModules(kernel: Kernel): KernelModule[] {
  const files = moduleFiles(kernel.moduleDirectory);
  const loaded = new Map<string, KernelModule>();
  const add = (name: string): void => {
    const file = files.get(name);
    // Not a file: built into this kernel.
    if (!file || loaded.has(name)) return;
    const content = readModule(file);
    for (const needed of moduleDependencies(content)) add(needed);
    loaded.set(name, { name, content });
  };
  for (const name of MODULES_WANTED[kernel.flavour]) add(name);
  return [...loaded.values()];
}

/** Every module below a directory by its name, which has underscores where the file may have dashes. */
function moduleFiles(directory: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const match = /^(.+)\.ko(?:\.xz)?$/.exec(basename(path));
    if (match) files.set(match[1]!.replaceAll('-', '_'), join(directory, path));
  }
  return files;
}

function readModule(path: string): Buffer {
  if (!path.endsWith('.xz')) return readFileSync(path);
  return execFileSync('xz', ['--decompress', '--stdout', path], { maxBuffer: 16 << 20 });
}

/** The `depends=` field of a module's .modinfo section: zero-terminated text, names separated by commas. */
export function moduleDependencies(module: Buffer): string[] {
  const key = '\0depends=';
  const start = module.indexOf(key, 0, 'latin1');
  if (start < 0) return [];
  const end = module.indexOf(0, start + key.length);
  const names = module.toString('latin1', start + key.length, end);
  return names.split(',').filter(name => name.length > 0);
}
