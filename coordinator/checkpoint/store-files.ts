/** The files of one store: their names, their modes, and how they go away. */
import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from '../../common/errors.ts';
import { Journal } from './journal.ts';
import { Marks } from './marks.ts';
import { type StoreIo, storeError } from './store-io.ts';

const MAIN_PREFIX = 'main-';

export class StoreFiles {
  readonly directory: string;
  readonly journal: Journal;
  readonly marks: Marks;
  /** The small blocks. */
  readonly othersFd: number;
  readonly #io: StoreIo;
  #main: { path: string; fd: number } | undefined;

  /**
   * Opens the files of a directory, which must exist; creates those that are missing.
   * @throws CurlingError CURLING_STORE
   */
  constructor(io: StoreIo, directory: string) {
    this.#io = io;
    this.directory = directory;
    try {
      this.journal = new Journal(io, directory);
      this.marks = new Marks(io, path.join(directory, 'marks'));
      this.othersFd = openFile(path.join(directory, 'blocks'));
    } catch (error) {
      throw storeError(`cannot open the files in ${directory}: ${messageOf(error)}`, error);
    }
  }

  get main(): { path: string; fd: number } | undefined {
    return this.#main;
  }

  get manifestPath(): string {
    return path.join(this.directory, 'manifest');
  }

  /**
   * Opens the shadow of a block, which stays the same file from then on. One of another block is
   * removed.
   */
  openMain(block: string): { path: string; fd: number } {
    const file = path.join(this.directory, MAIN_PREFIX + block.replace(/[^A-Za-z0-9_.-]/g, '_'));
    if (this.#main?.path === file) return this.#main;
    if (this.#main) {
      fs.closeSync(this.#main.fd);
      this.#io.remove(this.#main.path);
    }
    this.#main = undefined;
    try {
      this.#main = { path: file, fd: openFile(file) };
    } catch (error) {
      throw storeError(`cannot open ${file}: ${messageOf(error)}`, error);
    }
    return this.#main;
  }

  close(): void {
    this.journal.close();
    this.marks.close();
    fs.closeSync(this.othersFd);
    if (this.#main) fs.closeSync(this.#main.fd);
  }
}

/**
 * Makes `directory` with mode 0700.
 * @throws CurlingError CURLING_STORE when it cannot be made, is a link or belongs to another user.
 */
export function makeDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { uid } = fs.lstatSync(directory);
    if (!fs.lstatSync(directory).isDirectory()) throw new Error('it is not a directory');
    if (uid !== process.getuid?.()) throw new Error(`it belongs to user ${uid}`);
    fs.chmodSync(directory, 0o700);
  } catch (error) {
    throw storeError(`cannot use ${directory}: ${messageOf(error)}`, error);
  }
}

/**
 * Removes every file that a store makes, the manifest first, and the directory if nothing else is
 * in it.
 */
export function removeFiles(io: StoreIo, directory: string): void {
  if (!fs.existsSync(directory)) return;
  io.remove(path.join(directory, 'manifest'));
  const own = /^(manifest\.new|marks|blocks|slot-[01]|main-.*)$/;
  for (const name of fs.readdirSync(directory)) {
    if (own.test(name)) io.remove(path.join(directory, name));
  }
  if (fs.readdirSync(directory).length === 0) fs.rmdirSync(directory);
}

function openFile(file: string): number {
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW;
  return fs.openSync(file, flags, 0o600);
}
