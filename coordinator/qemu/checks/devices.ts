/** Devices that reach past QEMU: passed through from the host, or served by another process. Pure. */
import type { JsonObject } from '../../../common/qmp/messages.ts';
import type { Exit } from './exit.ts';

/** By the type of the device or object, what it is; the first that matches. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/^vfio-/, 'a device of the host, passed through; its state is in no checkpoint'],
  [/^(vhost-|virtio-vhost-)/, 'served outside of QEMU, past the checkpoint'],
  [/^(usb-host|usb-mtp|u2f-passthru)$/, 'a device or folder of the host, passed through'],
  [/^(scsi-generic|scsi-block)$/, 'a disk of the host, passed through'],
  [/^virtio-9p/, 'a folder of the host; what is written there is not rolled back'],
  [/^ivshmem/, 'memory shared with another process'],
  [/^filter-(mirror|redirector)$/, "the guest's frames go past the proxy"],
  [/^(can-host-socketcan|cryptodev-vhost-user|vfio-user-server)$/, 'leads out of QEMU'],
];

/**
 * @param listed The answers of `qom-list` for /machine/peripheral, /machine/peripheral-anon and /objects, one after the
 *   other. A device without an id goes by its type.
 * @param tpms The answer of `query-tpm`.
 */
export function deviceExits(listed: readonly JsonObject[], tpms: readonly JsonObject[]): Exit[] {
  const devices = listed.flatMap(({ name, type }): Exit[] => {
    const kind = /^child<(.*)>$/.exec(String(type))?.[1];
    const what = KINDS.find(([pattern]) => kind !== undefined && pattern.test(kind))?.[1];
    if (kind === undefined || what === undefined) return [];
    const id = String(name);
    return [{ name: /^device\[\d+\]$/.test(id) ? kind : id, what: `${kind}: ${what}` }];
  });
  const tpmExits = tpms
    .filter(({ options }) => JSON.stringify(options ?? '').includes('passthrough'))
    .map(({ id }) => ({ name: String(id), what: "the host's TPM, passed through" }));
  return [...devices, ...tpmExits];
}
