/**
 * The limit of what a checkpoint through QEMU's COLO can cost: reads the same stream with the same session as the
 * coordinator and throws it away. Nothing is sent, nothing is held, nobody is asked.
 *
 * As a process of its own, with QEMU's monitor to itself: `null-stager --qmp PATH --socket PATH --interval MS --ms MS`
 * takes a checkpoint every MS from start to start, as the coordinator's fixed schedule does, and ends with one line of
 * JSON: NullFigures.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { requiredText, wholeNumber } from '../../common/options.ts';
import { runProgram } from '../../common/program.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { ColoSession } from '../../coordinator/qemu/colo-session.ts';
import { ranDirectly } from '../../lab/client/worker.ts';

export interface NullFigures {
  /** From REPLY to LOADED, in the order of the checkpoints. Milliseconds. */
  pausesMs: number[];
  /** Pages with content in each checkpoint. */
  pages: number[];
  /** Device state of the last one. */
  deviceBytes: number;
}

interface NullOptions {
  qmpPath: string;
  socketPath: string;
  intervalMs: number;
  durationMs: number;
}

/** What the coordinator uses. */
const CHUNK_PAGES = 64;

class NullStager {
  readonly figures: NullFigures = { pausesMs: [], pages: [], deviceBytes: 0 };
  readonly lost: Promise<CurlingError>;
  readonly #session: ColoSession;
  readonly #staging: Staging;
  readonly #intervalMs: number;
  #repliedMs = 0;
  #pagesBefore = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(qmp: QmpClient, { socketPath, intervalMs }: NullOptions) {
    this.#intervalMs = intervalMs;
    this.#staging = new Staging({
      chunkPages: CHUNK_PAGES,
      onChunk: chunk => this.#staging.recycle(chunk),
    });
    let lose!: (error: CurlingError) => void;
    this.lost = new Promise(resolve => {
      lose = resolve;
    });
    this.#session = new ColoSession({
      qmp,
      socketPath,
      staging: this.#staging,
      handlers: {
        layout: () => {},
        firstPass: () => this.#session.ready(),
        request: () => this.#reply(),
        stopped: () => {},
        staged: device => this.#resume(device),
        closed: lose,
      },
    });
  }

  start(): Promise<void> {
    return this.#session.start();
  }

  end(): Promise<void> {
    clearTimeout(this.#timer);
    return this.#session.end();
  }

  #reply(): void {
    const waitMs = this.#repliedMs + this.#intervalMs - performance.now();
    if (this.#repliedMs > 0 && waitMs > 0) {
      this.#timer = setTimeout(() => this.#reply(), waitMs);
      return;
    }
    this.#pagesBefore = this.#staging.counters.dataPages;
    this.#repliedMs = performance.now();
    this.#session.reply();
  }

  #resume(device: Buffer): void {
    this.#session.resume();
    this.figures.pausesMs.push(performance.now() - this.#repliedMs);
    this.figures.pages.push(this.#staging.counters.dataPages - this.#pagesBefore);
    this.figures.deviceBytes = device.length;
  }
}

/** Takes checkpoints for a while, from the first one on. @throws CurlingError as ColoSession */
async function takeCheckpoints(options: NullOptions): Promise<NullFigures> {
  const qmp = await QmpClient.connect(options.qmpPath);
  const stager = new NullStager(qmp, options);
  try {
    await stager.start();
    const deadlineMs = performance.now() + 30_000;
    while (stager.figures.pausesMs.length === 0 && performance.now() < deadlineMs) {
      const error = await Promise.race([stager.lost, sleep(5)]);
      if (error instanceof CurlingError) throw error;
    }
    const error = await Promise.race([stager.lost, sleep(options.durationMs)]);
    if (error instanceof CurlingError) throw error;
    return stager.figures;
  } finally {
    await stager.end();
    qmp.close();
  }
}

if (ranDirectly(import.meta.url)) {
  const text = (help: string) => ({ type: 'string' as const, value: 'X', help });
  await runProgram(
    {
      program: 'bench null-stager',
      usage: '--qmp PATH --socket PATH --interval MS --ms MS',
      summary: 'Takes checkpoints of a QEMU and throws them away.',
      options: {
        qmp: text("QEMU's monitor"),
        socket: text('where QEMU sends its stream'),
        interval: text('milliseconds from one checkpoint to the next'),
        ms: text('how long'),
      },
    },
    async ({ values }) => {
      const figures = await takeCheckpoints({
        qmpPath: requiredText('qmp', values.qmp),
        socketPath: requiredText('socket', values.socket),
        intervalMs: wholeNumber('interval', values.interval, 1, 60_000),
        durationMs: wholeNumber('ms', values.ms, 1, 600_000),
      });
      process.stdout.write(`${JSON.stringify(figures)}\n`);
      return 0;
    },
  );
}
