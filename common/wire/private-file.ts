/** Files that nobody else may read or change, and folders in which nobody else may put anything. */
import fs from 'node:fs';
import { CurlingError, type ErrorCode, messageOf } from '../errors.ts';

/** What may be wrong with a file that others must not write, or read. */
export interface PrivateFileOptions {
  /** Whether nobody else may read it either. Default true. */
  isSecret?: boolean;
  /** The code of the errors. Default CURLING_KEYS. */
  code?: ErrorCode;
}

/** A thousand keys, or a chain of certificates, are smaller. */
const FILE_BYTES_MAX = 256 << 10;

/** Whether a file or folder belongs to us or to root: nobody else may then change its mode. */
function trusted(stat: fs.Stats): boolean {
  return stat.uid === 0 || stat.uid === process.geteuid?.();
}

function octal(stat: fs.Stats): string {
  return `0${(stat.mode & 0o7777).toString(8)}`;
}

/**
 * The text of a secret file. It is opened once, so what is checked is what is read.
 * @param options With `isSecret: false` for what everybody may read, such as a certificate; nobody else may write it
 *   all the same.
 * @throws CurlingError CURLING_KEYS, or `code`, when it cannot be read, is not a regular file of ours or root's,
 *   can be used by others, or is larger than 256 KiB.
 */
export function readPrivateFile(file: string, options: PrivateFileOptions = {}): string {
  const { isSecret = true, code = 'CURLING_KEYS' } = options;
  const fault = (what: string) => new CurlingError(code, `${file}: ${what}`);
  let fd: number;
  try {
    // Not blocking: a fifo must not keep the program from saying what is wrong.
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    throw new CurlingError(code, `cannot read ${messageOf(error)}`, { cause: error });
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw fault('is not a regular file');
    if (!trusted(stat)) throw fault(`belongs to user ${stat.uid}; make it root's or your own`);
    const others = isSecret ? 0o077 : 0o022;
    if (stat.mode & others)
      throw fault(`others can use it (mode ${octal(stat)}); chmod ${isSecret ? 600 : 644}`);
    if (stat.size > FILE_BYTES_MAX)
      throw fault(`has ${stat.size} bytes, expected at most ${FILE_BYTES_MAX}`);
    return fs.readFileSync(fd, 'utf8');
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The names in a folder whose files say what is done as root.
 * @throws CurlingError `code` when it cannot be read, is no folder of ours or root's, or others can put files in it.
 */
export function namesInPrivateFolder(folder: string, code: ErrorCode): string[] {
  const fault = (what: string) => new CurlingError(code, `${folder}: ${what}`);
  let stat: fs.Stats;
  let names: string[];
  try {
    stat = fs.statSync(folder);
    if (!stat.isDirectory()) throw fault('expected a folder, got something else');
    names = fs.readdirSync(folder);
  } catch (error) {
    if (error instanceof CurlingError) throw error;
    throw new CurlingError(code, `cannot read ${messageOf(error)}`, { cause: error });
  }
  if (!trusted(stat)) throw fault(`belongs to user ${stat.uid}; make it root's or your own`);
  if (stat.mode & 0o022) throw fault(`others can put files in it (mode ${octal(stat)}); chmod 755`);
  return names;
}

/**
 * Makes the folder of a control socket, mode 0700, or judges the one that is there. Who can write to
 * it could put another socket in our place, so that is refused, except in a folder like /tmp, whose
 * sticky bit lets nobody take away what is ours. Who can only list it sees the socket's name, but
 * cannot connect (0600): that is worth a warning.
 * @returns What to warn of.
 * @throws CurlingError CURLING_SOCKET_FOLDER
 */
export function socketFolder(folder: string): string | undefined {
  const code: ErrorCode = 'CURLING_SOCKET_FOLDER';
  let stat: fs.Stats;
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    stat = fs.statSync(folder);
  } catch (error) {
    throw new CurlingError(code, messageOf(error), { cause: error });
  }
  if (!trusted(stat)) throw new CurlingError(code, `${folder} belongs to user ${stat.uid}`);
  if (stat.mode & 0o022 && !(stat.mode & 0o1000)) {
    const text = `others can replace what is in ${folder} (mode ${octal(stat)}); chmod 700`;
    throw new CurlingError(code, text);
  }
  if ((stat.mode & 0o044) === 0) return undefined;
  return `others can see what is in ${folder} (mode ${octal(stat)}); chmod 700 keeps it private`;
}
