/** Identities that must never be drawn twice: incarnations of hosts and ids of witness stores. */
import { randomBytes } from 'node:crypto';

/** 128 random bits as 32 lower-case hex digits. */
export function newIdentity(): string {
  return randomBytes(16).toString('hex');
}
