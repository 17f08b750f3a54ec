/** What this process may do, and what the machine has. */
import fs from 'node:fs';
import { CurlingError } from '../common/errors.ts';

/** include/uapi/linux/capability.h */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

/**
 * Whether the effective capabilities in the text of /proc/PID/status allow to change and to capture interfaces.
 */
export function mayCapture(status: string): boolean {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  const capabilities = BigInt(`0x${match?.[1] ?? '0'}`);
  return ((capabilities >> CAP_NET_ADMIN) & (capabilities >> CAP_NET_RAW) & 1n) === 1n;
}

/** @throws CurlingError CURLING_NOT_ROOT, CURLING_NO_TUN. */
export function checkPrivileges(): void {
  if (!mayCapture(fs.readFileSync('/proc/self/status', 'utf8'))) {
    const text = 'run as root, or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW';
    throw new CurlingError('CURLING_NOT_ROOT', text);
  }
  if (!fs.existsSync('/dev/net/tun')) {
    const text = '/dev/net/tun is missing; load the module tun, or give the container the device';
    throw new CurlingError('CURLING_NO_TUN', text);
  }
}
