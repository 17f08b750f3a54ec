/** A ColoSession against a FakeQemu whose events are read one by one, and the stream that it is sent. */
import type { CurlingError } from '../../common/errors.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { ColoSession, type ColoSessionOptions } from '../../coordinator/qemu/colo-session.ts';
import type { FakeQemu } from './fake-qemu.ts';
import { type NaiveStream, naivePhases } from './naive-stream.ts';

export const STREAM: NaiveStream = {
  machine: 'pc-x',
  capabilities: [],
  uuid: false,
  sectionId: 1,
  blocks: [{ name: 'pc.ram', pages: 40 }],
  firstPass: [[{ block: 0, page: 0, fill: 1, data: true }], []],
  device: Buffer.from([4, 1, 0]),
  description: '{}',
  checkpoints: [
    { pages: [{ block: 0, page: 3, fill: 2, data: true }], device: Buffer.from([4, 2, 0]) },
    { pages: [], device: Buffer.from([4, 3, 0]) },
  ],
};
export const [FIRST_PASS, REQUEST, CHECKPOINT, REQUEST_2, CHECKPOINT_2] = naivePhases(STREAM) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];

type More = Partial<ColoSessionOptions>;

interface Told {
  what: string;
  device?: Buffer;
  error?: CurlingError;
}

/** A session whose events are read one by one. */
export class Observed {
  readonly session: ColoSession;
  readonly staging: Staging;
  readonly chunks: number[] = [];
  readonly #told: Told[] = [];
  #wake: () => void = () => {};

  constructor(qemu: FakeQemu, more: More = {}) {
    this.staging = new Staging({
      poolBytes: 0,
      chunkPages: 8,
      onChunk: chunk => {
        this.chunks.push(chunk.count);
        this.staging.recycle(chunk);
      },
    });
    this.session = new ColoSession({
      qmp: qemu.qmp,
      socketPath: qemu.path('run/migrate'),
      staging: this.staging,
      handlers: {
        layout: layout => this.#tell({ what: `layout ${layout.machine}` }),
        firstPass: device => this.#tell({ what: 'firstPass', device }),
        request: () => this.#tell({ what: 'request' }),
        stopped: () => this.#tell({ what: 'stopped' }),
        staged: device => this.#tell({ what: 'staged', device }),
        closed: error => this.#tell({ what: 'closed', error }),
      },
      ...more,
    });
  }

  async next(): Promise<Told> {
    while (this.#told.length === 0) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    return this.#told.shift()!;
  }

  /** The error of the next event, which must be that the session is closed. */
  async closed(): Promise<CurlingError> {
    const { what, error } = await this.next();
    if (!error) throw new Error(`expected closed, got ${what}`);
    return error;
  }

  get told(): readonly Told[] {
    return this.#told;
  }

  #tell(told: Told): void {
    this.#told.push(told);
    this.#wake();
  }
}

/** Brings a session to the end of its first pass. */
export async function copied(qemu: FakeQemu, more: More = {}): Promise<Observed> {
  const observed = new Observed(qemu, more);
  await observed.session.start();
  qemu.stream!.write(FIRST_PASS);
  qemu.status('colo');
  await observed.next();
  await observed.next();
  return observed;
}
