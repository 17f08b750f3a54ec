/**
 * The RAM block that is the guest's main memory. QEMU calls it after the memory backend of the machine: `pc.ram` on pc
 * and q35, `microvm.ram` on microvm, or what the operator named it (`-machine memory-backend=ID`). A standby's backend
 * must give its block the same name, whatever backs the guest's memory on the primary: anonymous memory, a memfd, a file,
 * huge pages.
 */
import { asCurlingError, CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import { shown } from '../../common/shown.ts';
import { PAGE_BYTES } from '../checkpoint/layout.ts';

export interface MainMemory {
  /** The RAM block's name as in the migration stream, e.g. pc.ram; /objects/ID with canonical paths. */
  block: string;
  /** Whole pages. Without plugged memory, which are blocks of their own. */
  bytes: number;
}

/** Where QEMU keeps the objects of -object, and the backends that it makes by itself. */
const OBJECTS = '/objects/';
/** What QEMU accepts as an object's id. */
const OBJECT_ID = /^[A-Za-z][A-Za-z0-9._-]*$/;
/**
 * Whether the block's name is the backend's path rather than its id: so it is on machine types of QEMU 3.1 and older, for
 * backends that are files. QEMU 4.0 and later let it be said (hostmem.c; libvirt says it too).
 */
const CANONICAL = 'x-use-canonical-path-for-ramblock-id';

/**
 * Asks a QEMU for its guest's main memory.
 * @throws CurlingError CURLING_QEMU_MEMORY when it is not one block that a standby could have; as QmpClient.execute
 */
export async function queryMainMemory(qmp: QmpClient): Promise<MainMemory> {
  const path = await qmp.execute('qom-get', { path: '/machine', property: 'memory-backend' });
  if (path === '') {
    throw memoryError(
      "the guest's main memory is not one memory backend, as with -numa node,memdev=ID: " +
        'a standby can be given one; use -machine memory-backend=ID, and -numa without memdev if need be',
    );
  }
  const id = typeof path === 'string' && path.startsWith(OBJECTS) ? path.slice(OBJECTS.length) : '';
  if (!OBJECT_ID.test(id)) {
    throw memoryError(`expected a memory backend ${OBJECTS}ID, got ${shown(path)}`);
  }
  const get = (property: string) => qmp.execute('qom-get', { path, property });
  const bytes = Number(await get('size'));
  if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % PAGE_BYTES !== 0) {
    throw memoryError(`the guest's memory ${id} has ${bytes} bytes, expected whole pages`);
  }
  return { block: (await isCanonical(get)) ? String(path) : id, bytes };
}

/** A QEMU that does not know the property has ids only. */
async function isCanonical(get: (property: string) => Promise<unknown>): Promise<boolean> {
  try {
    return (await get(CANONICAL)) === true;
  } catch (error) {
    if (asCurlingError(error).code === 'CURLING_COMMAND_FAILED') return false;
    throw error;
  }
}

/**
 * The id of a memory backend whose RAM block has this name, and the property that makes it so.
 * @throws CurlingError CURLING_QEMU_START when no backend can have it
 */
export function backendOf(block: string): { id: string; naming: string } {
  const canonical = block.startsWith(OBJECTS);
  const id = canonical ? block.slice(OBJECTS.length) : block;
  if (OBJECT_ID.test(id)) return { id, naming: `${CANONICAL}=${canonical ? 'on' : 'off'}` };
  const text = `the guest's main memory is the RAM block ${JSON.stringify(block)}; no memory backend can have this name`;
  throw new CurlingError('CURLING_QEMU_START', text);
}

function memoryError(text: string): CurlingError {
  return new CurlingError('CURLING_QEMU_MEMORY', text);
}
