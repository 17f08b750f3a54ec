/**
 * The numbers of Curling's own stream: the fault-tolerant migration (`migrate -f tcp:…`) of the patches of 2013. The rest
 * of its numbers are those of any migration stream (qemu/stream-format.ts). Big-endian.
 */

/** "QEFT", the first word of each checkpoint. */
export const CHECKPOINT_MAGIC = 0x5145_4654;
export const CHECKPOINT_VERSION = 3;

/**
 * What follows the 0x00 behind a checkpoint's device state: 0xFEEDCAFE as a 64-bit number. The patches themselves were not
 * at hand: that it has 64 bits is what is known of their receiver, which looked for it among the raw bytes.
 */
export const END_SIGNATURE = Buffer.from('00000000feedcafe', 'hex');
