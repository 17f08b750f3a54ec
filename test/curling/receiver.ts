/** Takes Curling's stream on a port of loopback and keeps the guest of the last whole checkpoint: all of it or nothing. */
import net from 'node:net';
import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';
import type { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { CurlingDecoder } from '../../coordinator/curling/decoder.ts';
import { encodeResume } from '../../coordinator/qemu/resume.ts';
import { applyChunk, emptyImage } from '../qemu/image.ts';

export class Receiver {
  layout: GuestLayout | undefined;
  /** Checkpoints that were whole. */
  whole = 0;
  failed: Error | undefined;
  /** Called with each checkpoint that is whole, when its pages are in the image. */
  onWhole: (receiver: Receiver) => void = () => {};
  device: Buffer = Buffer.alloc(0);
  /** Bytes of the stream that came. */
  bytes = 0;
  #image: Buffer[] = [];
  #chunks: PageChunk[] = [];
  readonly #staging = new Staging({ onChunk: chunk => this.#chunks.push(chunk) });
  readonly #server: net.Server;
  readonly #sockets: net.Socket[] = [];

  constructor() {
    const decoder = new CurlingDecoder(this.#staging, {
      layout: layout => {
        this.layout = layout;
        this.#image = emptyImage(layout);
      },
      checkpoint: device => this.#complete(device),
    });
    this.#server = net.createServer(socket => {
      this.#sockets.push(socket);
      socket.on('data', chunk => {
        this.bytes += chunk.length;
        try {
          decoder.push(chunk);
        } catch (error) {
          this.failed = error as Error;
          socket.destroy();
        }
      });
      socket.on('error', () => {});
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>(resolve => void this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as net.AddressInfo).port;
  }

  get mainImage(): Buffer {
    return this.#image[this.layout!.mainBlock]!;
  }

  resumeStream(): Buffer[] {
    return encodeResume({ layout: this.layout!, blocks: this.#image, device: this.device });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #complete(device: Buffer): void {
    this.#staging.flush();
    for (const chunk of this.#chunks.splice(0)) {
      applyChunk(this.#image, chunk);
      this.#staging.recycle(chunk);
    }
    this.device = device;
    this.whole++;
    this.onWhole(this);
  }
}
