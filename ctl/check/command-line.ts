/** What a QEMU command says of files and memory, as far as it can be looked at before it runs. Pure. */

/** Options whose next word is a file that is read. */
const FILE_OPTIONS = /^--?(kernel|initrd|bios|dtb|cdrom|hd[abcd]|fd[ab]|pflash)$/;
/** Options whose next word has a file among its values. */
const LIST_OPTIONS = /^--?(drive|blockdev)$/;
/** QEMU's own default, MiB. */
const MEMORY_MIB_DEFAULT = 128;
const UNITS: Record<string, number> = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** The files that a command reads; what is no path of this host's is left out. */
export function filesOf(command: readonly string[]): string[] {
  return command.flatMap((word, index) => {
    const value = command[index + 1];
    if (value === undefined) return [];
    if (FILE_OPTIONS.test(word)) return [value];
    if (!LIST_OPTIONS.test(word)) return [];
    // A comma in a file's name is written twice.
    const file = /(?:^|,)(?:file|filename)=((?:[^,]|,,)+)/.exec(value)?.[1]?.replaceAll(',,', ',');
    return file === undefined || /^[a-z+]{2,}:/.test(file) ? [] : [file];
  });
}

/** The guest's memory in bytes, as `-m` says; undefined when it says something else than a size. */
export function memoryOf(command: readonly string[]): number | undefined {
  const at = command.findLastIndex(word => /^--?m$/.test(word));
  if (at < 0) return MEMORY_MIB_DEFAULT * 2 ** 20;
  const text = /^(?:size=)?([^,]+)/.exec(command[at + 1] ?? '')?.[1] ?? '';
  const [, digits, unit = 'm'] = /^(\d+)([bkmgt])?$/i.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits) * UNITS[unit.toLowerCase()]!;
}

/** Whether a guest with this command runs under emulation: it names TCG and not KVM. */
export function isEmulated(command: readonly string[]): boolean {
  const words = command.join(' ');
  return /\btcg\b/.test(words) && !/\bkvm\b/.test(words);
}
