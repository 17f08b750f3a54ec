/** The command line of a standby QEMU, from an operator's command line for the guest. Pure. */
import { backendOf } from './main-memory.ts';

export interface StandbyMemory {
  /** Name of the guest's main RAM block, e.g. pc.ram; that of the memory backend must be the same. */
  mainBlock: string;
  /** Bytes of that block. */
  ramBytes: number;
  /** The file on /dev/shm that holds the shadow RAM. */
  shadowPath: string;
}

/**
 * What a QEMU in -incoming is for. `standby`: becomes the guest, on the shadow itself. `trial`: loads the guest's state on
 * a private copy-on-write view of the shadow, and stays paused; the shadow is never written. `drill`: as `trial`, beside
 * a standby, whose disks it leaves alone.
 */
export type StandbyDuty = 'standby' | 'trial' | 'drill';

/**
 * Appends what makes QEMU a standby, so that the guest's own command will do: its memory backend, which the shadow takes
 * the place of, is left away. A second -machine option is merged with the operator's own (QEMU 7.2 and later).
 * @throws CurlingError CURLING_QEMU_START when the main block's name cannot be an object's id
 */
export function standbyArguments(
  argv: readonly string[],
  memory: StandbyMemory,
  qmpPath: string,
  duty: StandbyDuty = 'standby',
): string[] {
  const { mainBlock, ramBytes, shadowPath } = memory;
  const { id, naming } = backendOf(mainBlock);
  const share = duty === 'standby' ? 'on' : 'off';
  const backend =
    `memory-backend-file,id=${id},${naming},size=${ramBytes},` +
    `mem-path=${optionValue(shadowPath)},share=${share}`;
  return [
    ...withoutObject(argv, id),
    '-object',
    backend,
    '-machine',
    `memory-backend=${id}`,
    '-incoming',
    'defer',
    '-S',
    '-qmp',
    `unix:${optionValue(qmpPath)},server=on,wait=off`,
  ];
}

/** Without the -object of this id. */
function withoutObject(argv: readonly string[], id: string): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (/^--?object$/.test(word) && idOf(argv[at + 1] ?? '') === id) at++;
    else kept.push(word);
  }
  return kept;
}

/** The id of an object that is written as a list of QEMU's, or as JSON; empty without one. */
function idOf(object: string): string {
  if (!object.startsWith('{')) return /(?:^|,)id=([^,]*)/.exec(object)?.[1] ?? '';
  return /"id"\s*:\s*"([^"]*)"/.exec(object)?.[1] ?? '';
}

/** QEMU's option lists end a value at a comma, and read two as one. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}
