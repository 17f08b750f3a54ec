/**
 * What a coordinator must remember when its process is started again while the guest runs on: who it is, and the one
 * request whose answer it may not have heard. Kept in the run directory, which does not survive the host; the boot id
 * says so even where it does.
 *
 * An incarnation is used again only if the guest's QEMU is the same process as before, told by its monitor's socket.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { SwapRequest } from './arbitration/register.ts';
import { decodeIdentity, encodeIdentity } from './identity-json.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface Identity {
  incarnation: string;
  bootId: string;
  /** The monitor of the guest's QEMU, and which socket that was; null while no guest runs here. */
  guest: { qmpPath: string; socket: string } | null;
  /** The standby QEMU that this host started and that is not the guest. */
  standbyPid: number | null;
  /** The pair that was asked for and not answered yet. */
  unresolvedPair: { request: SwapRequest; snapshot: number } | null;
}

export class IdentityFile {
  readonly #path: string;
  readonly #bootId = fs.readFileSync(BOOT_ID, 'utf8').trim();
  #identity: Identity;

  /** @param runDir Made (0700) when it is missing. */
  constructor(runDir: string) {
    fs.mkdirSync(runDir, { recursive: true, mode: 0o700 });
    this.#path = path.join(runDir, 'identity.json');
    this.#identity = this.#read() ?? this.#fresh(randomUUID().replaceAll('-', ''));
  }

  get current(): Identity {
    return this.#identity;
  }

  /** Whether the QEMU that was the guest before still is, at the same monitor. */
  get guestIntact(): boolean {
    const guest = this.#identity.guest;
    return guest !== null && socketIdentity(guest.qmpPath) === guest.socket;
  }

  /** A new life: nothing of the old one counts. */
  renew(incarnation: string): void {
    const { standbyPid } = this.#identity;
    this.#write({ ...this.#fresh(incarnation), standbyPid });
  }

  /** The guest runs here, behind this monitor. */
  setGuest(qmpPath: string): void {
    const socket = socketIdentity(qmpPath) ?? '';
    this.#write({ ...this.#identity, guest: { qmpPath, socket } });
  }

  setStandby(pid: number | null): void {
    this.#write({ ...this.#identity, standbyPid: pid });
  }

  /** To be called before a `pair` is sent, and with null when its outcome is known. */
  setUnresolvedPair(pair: Identity['unresolvedPair']): void {
    this.#write({ ...this.#identity, unresolvedPair: pair });
  }

  #fresh(incarnation: string): Identity {
    return {
      incarnation,
      bootId: this.#bootId,
      guest: null,
      standbyPid: null,
      unresolvedPair: null,
    };
  }

  #read(): Identity | undefined {
    try {
      const identity = decodeIdentity(fs.readFileSync(this.#path, 'utf8'));
      return identity.bootId === this.#bootId ? identity : undefined;
    } catch {
      return undefined; // none, or a damaged one: a new life
    }
  }

  #write(identity: Identity): void {
    fs.writeFileSync(`${this.#path}.new`, encodeIdentity(identity), { mode: 0o600 });
    fs.renameSync(`${this.#path}.new`, this.#path);
    this.#identity = identity;
  }
}

/** Tells one socket from another one at the same path: inode numbers are used again. */
function socketIdentity(socket: string): string | undefined {
  const stat = fs.statSync(socket, { throwIfNoEntry: false });
  return stat && `${stat.ino} ${stat.ctimeMs}`;
}
