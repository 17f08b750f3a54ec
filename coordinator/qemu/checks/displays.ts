/** Screens over the network are excepted: people look at them, and programs do not build on them. Pure. */
import type { JsonObject } from '../../../common/qmp/messages.ts';

const WORDS =
  'shows the guest as it is now and not as it is committed, and what is typed there can be lost at a failover';

/** @param vnc The answer of `query-vnc`, {} when QEMU has none. @param spice That of `query-spice`. */
export function displayWarnings(vnc: JsonObject, spice: JsonObject): string[] {
  return [
    ...(vnc.enabled === true ? [`VNC ${WORDS}`] : []),
    ...(spice.enabled === true ? [`SPICE ${WORDS}`] : []),
  ];
}
