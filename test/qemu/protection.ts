/** Drives a ColoSession in tests: keeps the image, and takes checkpoints one by one. */
import type { QmpClient } from '../../common/qmp/client.ts';
import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { ColoSession } from '../../coordinator/qemu/colo-session.ts';
import { encodeResume } from '../../coordinator/qemu/resume.ts';
import { applyChunk, emptyImage } from './image.ts';

type Step = 'firstPass' | 'request' | 'stopped' | 'staged';

export class Protection {
  readonly session: ColoSession;
  readonly staging: Staging;
  layout: GuestLayout | undefined;
  image: Buffer[] = [];
  device: Buffer = Buffer.alloc(0);
  readonly #steps: Step[] = [];
  #failed: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(qmp: QmpClient, socketPath: string, poolBytes?: number) {
    this.staging = new Staging({
      ...(poolBytes === undefined ? {} : { poolBytes }),
      onChunk: chunk => {
        applyChunk(this.image, chunk);
        // Given back later, as by a consumer that writes to a socket, so that the pool's bound is met.
        setImmediate(() => this.staging.recycle(chunk));
      },
    });
    this.session = new ColoSession({
      qmp,
      socketPath,
      staging: this.staging,
      handlers: {
        layout: layout => {
          this.layout = layout;
          this.image = emptyImage(layout);
        },
        firstPass: device => this.#happened('firstPass', device),
        request: () => this.#happened('request'),
        stopped: () => this.#happened('stopped'),
        staged: device => this.#happened('staged', device),
        closed: error => {
          this.#failed = error;
          this.#wake?.();
        },
      },
    });
  }

  /** The content of the guest's main RAM block. */
  get mainImage(): Buffer {
    return this.image[this.layout!.mainBlock]!;
  }

  /** Waits for the next steps of QEMU, in this order. */
  async next(...steps: Step[]): Promise<void> {
    for (const step of steps) {
      while (this.#steps.length === 0) {
        if (this.#failed) throw this.#failed;
        await new Promise<void>(resolve => {
          this.#wake = resolve;
        });
      }
      const came = this.#steps.shift();
      if (came !== step) throw new Error(`expected ${step}, got ${came}`);
    }
  }

  /** Starts protection; on return the full copy is there and the guest runs on. */
  async start(): Promise<void> {
    await this.session.start();
    await this.next('firstPass');
    this.session.ready();
  }

  /** Takes a checkpoint; on return the guest is still stopped. */
  async stop(): Promise<void> {
    await this.next('request');
    this.session.reply();
    await this.next('stopped', 'staged');
  }

  resumeStream(): Buffer[] {
    return encodeResume({ layout: this.layout!, blocks: this.image, device: this.device });
  }

  #happened(step: Step, device?: Buffer): void {
    if (device) this.device = device;
    this.#steps.push(step);
    this.#wake?.();
  }
}
