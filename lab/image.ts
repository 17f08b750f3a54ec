/**
 * Builds what a test guest boots: Debian's cloud kernel, an initramfs of busybox, a few modules and the workload, and
 * the library that QEMU needs under TCG. The result lies in a folder named by a digest of everything that went into
 * it, so it is built only when something changed, and two builders at once do not disturb each other.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { run } from '../common/run.ts';
import {
  findKernel,
  type Kernel,
  type KernelFlavour,
  type KernelModule,
  readModules,
} from './kernel.ts';
import { BUSYBOX, inRepository } from './paths.ts';

export interface GuestImage {
  kernel: string;
  initrd: string;
  /** LD_PRELOAD for QEMU under TCG (lab/workaround/cond-wait.c). */
  condWait: string;
}

export interface ImageOptions {
  /** Folder with the workload's C sources; all `*.c` in it become /bin/workload. Default lab/guest. */
  workloadDir?: string;
  /** Default cloud. */
  flavour?: KernelFlavour;
  /** Where images are kept. Default build/guest-image. */
  cacheDir?: string;
}

/** Part of the digest: the compiler's flags are a part of what is built. */
const WORKLOAD_FLAGS = ['-O2', '-static', '-pthread'];
const LIBRARY_FLAGS = ['-O2', '-shared', '-fPIC'];
const COMPILE_MS_MAX = 120_000;
/** Images that nobody used for a day are removed. */
const UNUSED_MS_MAX = 24 * 3600 * 1000;

interface Sources {
  kernel: Kernel;
  modules: KernelModule[];
  workload: string[];
  init: string;
  condWait: string;
}

/**
 * The guest image, built if need be (about a second; some milliseconds when it is there already).
 * @throws CurlingError CURLING_TOOL_MISSING, CURLING_TOOL_FAILED when kernel, busybox or compiler are missing or fail
 */
export async function buildImage(options: ImageOptions = {}): Promise<GuestImage> {
  const cacheDir = options.cacheDir ?? inRepository('build/guest-image');
  const sources = findSources(
    options.workloadDir ?? inRepository('lab/guest'),
    options.flavour ?? 'cloud',
  );
  const directory = join(cacheDir, digestOf(sources));
  mkdirSync(cacheDir, { recursive: true });
  if (existsSync(directory)) {
    utimesSync(directory, new Date(), new Date());
  } else {
    removeUnused(cacheDir);
    await build(sources, cacheDir, directory);
  }
  return imageIn(directory);
}

function imageIn(directory: string): GuestImage {
  return {
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
    condWait: join(directory, 'cond-wait.so'),
  };
}

function findSources(workloadDir: string, flavour: KernelFlavour): Sources {
  if (!existsSync(BUSYBOX))
    throw new CurlingError('CURLING_TOOL_MISSING', `${BUSYBOX} (busybox-static) is not installed`);
  const workload = existsSync(workloadDir)
    ? readdirSync(workloadDir)
        .filter(name => /\.[ch]$/.test(name))
        .sort()
        .map(name => join(workloadDir, name))
    : [];
  if (!workload.some(path => path.endsWith('.c')))
    throw new CurlingError('CURLING_TOOL_MISSING', `no C sources of a workload in ${workloadDir}`);
  const kernel = findKernel(flavour);
  const modules = readModules(kernel);
  const init = inRepository('lab/image/init');
  return { kernel, modules, workload, init, condWait: inRepository('lab/workaround/cond-wait.c') };
}

function digestOf(sources: Sources): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([sources.kernel.version, WORKLOAD_FLAGS, LIBRARY_FLAGS]));
  for (const module of sources.modules) addPart(hash, module.name, module.content);
  const { kernel, workload, init, condWait } = sources;
  for (const path of [kernel.path, BUSYBOX, init, condWait, ...workload])
    addPart(hash, basename(path), readFileSync(path));
  return hash.digest('hex').slice(0, 16);
}

function addPart(hash: Hash, name: string, content: Buffer): void {
  hash.update(`${name} ${content.length}\n`).update(content);
}

/** Builds in a folder of its own and moves it to `directory` when it is complete. */
async function build(sources: Sources, cacheDir: string, directory: string): Promise<void> {
  const work = mkdtempSync(join(cacheDir, '.new-'));
  try {
    const image = imageIn(work);
    const root = join(work, 'root');
    await fillRoot(sources, root);
    const pack = 'find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0';
    await run('sh', ['-ec', `cd "$1"; ${pack} >"$2"`, 'sh', root, image.initrd]);
    rmSync(root, { recursive: true });
    copyFileSync(sources.kernel.path, image.kernel);
    await compile([...LIBRARY_FLAGS, '-o', image.condWait, sources.condWait, '-ldl']);
    try {
      renameSync(work, directory);
    } catch (error) {
      if (!existsSync(directory)) throw error; // Otherwise somebody else was first, with the same.
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function fillRoot(sources: Sources, root: string): Promise<void> {
  for (const folder of ['bin', 'modules', 'proc', 'sys', 'dev', 'tmp'])
    mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  copyFileSync(sources.init, join(root, 'init'));
  chmodSync(join(root, 'init'), 0o755);
  for (const module of sources.modules)
    writeFileSync(join(root, 'modules', `${module.name}.ko`), module.content);
  const order = sources.modules.map(module => `${module.name}.ko\n`).join('');
  writeFileSync(join(root, 'modules/order'), order);
  const files = sources.workload.filter(path => path.endsWith('.c'));
  const include = `-I${dirname(files[0]!)}`;
  await compile([...WORKLOAD_FLAGS, include, '-o', join(root, 'bin/workload'), ...files]);
}

async function compile(args: readonly string[]): Promise<void> {
  await run('gcc', args, { timeoutMs: COMPILE_MS_MAX });
}

function removeUnused(cacheDir: string): void {
  for (const name of readdirSync(cacheDir)) {
    const path = join(cacheDir, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && Date.now() - stat.mtimeMs > UNUSED_MS_MAX)
      rmSync(path, { recursive: true, force: true });
  }
}
