/**
 * Streams in Curling's form of a real guest, live: COLO checkpoints of the oldest machine type that QEMU still has, written
 * down anew (lab/curling). The guest has the end of such a stream in its memory and in the FIFO of a serial port.
 */
import fs from 'node:fs';
import net from 'node:net';
import test from 'ava';
import { END_SIGNATURE } from '../../coordinator/curling/format.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { CurlingSender } from '../../lab/curling/sender.ts';
import { GUEST_RAM_BYTES, GuestKit } from '../qemu/guest.ts';
import { u8, u32 } from '../qemu/naive-stream.ts';
import { Receiver } from './receiver.ts';

const CHECKPOINTS = 12;
/** Of QEMU 1.4, from 2013 like the patches. */
const MACHINE = 'pc-i440fx-1.4';
/** An end mark, the signature and a header; QEMU fills a FIFO up to its trigger level, 14 bytes. */
const END = Buffer.concat([u8(0), END_SIGNATURE, Buffer.from('QEFT'), u32(3)]);
const FIFO = END.subarray(0, 14);

/**
 * Fills a mebibyte with what a checkpoint ends with, again and again so that some page begins with it, and switches the
 * FIFO of the second serial port on, which nobody reads.
 */
const HOSTILE_C = `
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>
int main(void) {
  static const unsigned char end[] = { ${[...END].join(', ')} };
  unsigned char *memory = malloc(1 << 20);
  for (unsigned at = 0; at + sizeof end <= 1 << 20; at += sizeof end) memcpy(memory + at, end, sizeof end);
  if (iopl(3)) return 1;
  outb(0, 0x2f9);
  outb(0xc7, 0x2fa);
  if (fork() == 0) pause();
  return 0;
}
`;

/** The guest's RAM as it really is, read into `into`. */
function readRam(path: string, into: Buffer): void {
  const file = fs.openSync(path, 'r');
  try {
    for (let at = 0; at < into.length; ) at += fs.readSync(file, into, at, into.length - at, at);
  } finally {
    fs.closeSync(file);
  }
}

/** Puts bytes into the FIFO of the guest's second serial port. */
async function fill(socketPath: string, bytes: Buffer): Promise<net.Socket> {
  const socket = net.connect({ path: socketPath });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.write(bytes, () => resolve());
  });
  return socket;
}

function lastTick(kit: GuestKit, name: string): number {
  const said = fs.readFileSync(kit.path(`${name}.serial`), 'latin1');
  return Math.max(...[...said.matchAll(/^tick (\d+)\r?$/gm)].map(match => Number(match[1])));
}

test('qemu: a guest of 2013 runs on from the last whole checkpoint of a stream that is cut', async t => {
  t.timeout(180_000);
  const kit = await GuestKit.make({
    machine: MACHINE,
    program: HOSTILE_C,
    words: (name, it) => [
      ...['-chardev', `socket,id=fifo,path=${it.path(`${name}.fifo`)},server=on,wait=off`],
      ...['-serial', 'chardev:fifo'],
    ],
  });
  t.teardown(() => kit.remove());
  const guest = await kit.boot('a');
  t.teardown(() => guest.qmp.close());
  const port = await fill(kit.path('a.fifo'), FIFO);
  t.teardown(() => port.destroy());

  const receiver = new Receiver();
  t.teardown(() => receiver.close());
  const real = Buffer.alloc(GUEST_RAM_BYTES);
  const equal: boolean[] = [];
  let tick = 0;
  receiver.onWhole = ({ mainImage }) => equal.push(mainImage.equals(real));
  const sender = new CurlingSender({
    qmp: guest.qmp,
    socketPath: kit.path('a.migrate'),
    host: '127.0.0.1',
    port: await receiver.listen(),
    cutIn: CHECKPOINTS,
    stopped: checkpoint => {
      // All that follows is read before the next stop: the image of this one is compared with it.
      if (checkpoint < CHECKPOINTS) readRam(guest.ramPath, real);
      if (checkpoint === CHECKPOINTS - 1) tick = lastTick(kit, 'a');
    },
  });
  await sender.start();
  await sender.over;
  await untilHolds(async () => receiver.whole >= CHECKPOINTS, 'the last checkpoint', 5_000);
  t.is(receiver.failed, undefined);
  t.is(receiver.whole, CHECKPOINTS, 'the one that was cut does not count');
  t.deepEqual(equal, Array(CHECKPOINTS).fill(true));
  t.true(receiver.device.includes(FIFO), 'the FIFO holds an end');
  t.true(receiver.mainImage.includes(END), 'memory holds an end');
  t.is(receiver.layout!.blocks.length, 5);

  const options = kit.standbyOptions('b');
  const standby = await Standby.start(options);
  t.teardown(() => standby.kill());
  fs.writeFileSync(options.memory.shadowPath, receiver.mainImage, { flag: 'r+' });
  await guest.child.kill();
  const durations = await standby.resume(receiver.resumeStream());
  t.log(durations, `${receiver.bytes} bytes`);
  await untilHolds(async () => kit.ticks('b') > 2, 'ticks of the resumed guest', 10_000);
  const first = Number(/tick (\d+)/.exec(fs.readFileSync(kit.path('b.serial'), 'latin1'))![1]);
  t.true(first === tick + 1 || first === tick, `goes on with ${first} behind ${tick}`);
});
