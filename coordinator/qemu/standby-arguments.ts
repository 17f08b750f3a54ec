/** The command line of a standby QEMU, from an operator's command line for the guest. Pure. */
import { CurlingError } from '../../common/errors.ts';

export interface StandbyMemory {
  /** Name of the guest's main RAM block, e.g. pc.ram; the memory backend must be called the same. */
  mainBlock: string;
  /** Bytes of that block. */
  ramBytes: number;
  /** The file on /dev/shm that holds the shadow RAM. */
  shadowPath: string;
}

/** What QEMU accepts as an object's id. */
const OBJECT_ID = /^[A-Za-z][A-Za-z0-9._-]*$/;

/**
 * What a QEMU in -incoming is for. `standby`: becomes the guest, on the shadow itself. `trial`: loads the guest's state on
 * a private copy-on-write view of the shadow, and stays paused; the shadow is never written. `drill`: as `trial`, beside
 * a standby, whose disks it leaves alone.
 */
export type StandbyDuty = 'standby' | 'trial' | 'drill';

/**
 * Appends what makes QEMU a standby. A second -machine option is merged with the operator's own (QEMU 7.2 and later).
 * @throws CurlingError CURLING_QEMU_START when the main block's name cannot be an object's id
 */
export function standbyArguments(
  argv: readonly string[],
  memory: StandbyMemory,
  qmpPath: string,
  duty: StandbyDuty = 'standby',
): string[] {
  const { mainBlock, ramBytes, shadowPath } = memory;
  if (!OBJECT_ID.test(mainBlock)) {
    const text = `the guest's main memory is the RAM block ${JSON.stringify(mainBlock)}; no memory backend can have this name`;
    throw new CurlingError('CURLING_QEMU_START', text);
  }
  const share = duty === 'standby' ? 'on' : 'off';
  const backend =
    `memory-backend-file,id=${mainBlock},size=${ramBytes},` +
    `mem-path=${optionValue(shadowPath)},share=${share}`;
  return [
    ...argv,
    '-object',
    backend,
    '-machine',
    `memory-backend=${mainBlock}`,
    '-incoming',
    'defer',
    '-S',
    '-qmp',
    `unix:${optionValue(qmpPath)},server=on,wait=off`,
  ];
}

/** QEMU's option lists end a value at a comma, and read two as one. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}
