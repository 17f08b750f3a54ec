/** The backup's end of a transfer: its listener and sessions, with its store or with a sink that only counts. */
import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';
import { readBootId, Store } from '../../coordinator/checkpoint/store.ts';
import type { Frame } from '../../coordinator/replication/decode.ts';
import { BackupListener } from '../../coordinator/replication/listener.ts';
import type { CheckpointSink } from '../../coordinator/replication/sink.ts';
import type { PairIdentity } from '../../coordinator/replication/types.ts';
import { MAIN, VM } from './guest.ts';
import { CREDENTIALS, HOST } from './ways.ts';
import type { Window } from './window.ts';

/** Takes everything that a session lets through, and keeps nothing. */
class Forgetful implements CheckpointSink {
  readonly stagedBytesMax = 512 << 20;
  identity: PairIdentity | undefined;
  committed: number | undefined;

  async beginFull(): Promise<void> {}
  beginCheckpoint(): void {}

  pages({ payload }: Frame): void {
    payload.release();
  }

  device({ payload }: Frame): void {
    payload.release();
  }

  abort(): void {}
  apply(): void {}
  noteAck(): void {}

  commit({ generation, sender, receiver, epoch }: Frame): void {
    this.identity = { generation, sender, receiver };
    this.committed = epoch;
  }
}

/** Counts the pages that another sink has taken. */
class Counted implements CheckpointSink {
  readonly #sink: CheckpointSink;
  readonly #window: Window;

  constructor(sink: CheckpointSink, window: Window) {
    this.#sink = sink;
    this.#window = window;
  }

  get identity() {
    return this.#sink.identity;
  }

  get committed() {
    return this.#sink.committed;
  }

  get stagedBytesMax() {
    return this.#sink.stagedBytesMax;
  }

  beginFull(frame: Frame, layout: GuestLayout): Promise<void> {
    return this.#sink.beginFull(frame, layout);
  }

  beginCheckpoint(frame: Frame): void {
    this.#sink.beginCheckpoint(frame);
  }

  pages(frame: Frame): void {
    const { bytes } = frame.payload;
    this.#sink.pages(frame);
    this.#window.add(bytes);
  }

  device(frame: Frame): void {
    this.#sink.device(frame);
  }

  commit(frame: Frame): void {
    this.#sink.commit(frame);
  }

  abort(): void {
    this.#sink.abort();
  }

  apply(): void {
    this.#sink.apply();
  }

  noteAck(epoch: number): void {
    this.#sink.noteAck(epoch);
  }
}

/**
 * Listens as a backup. Resolves with the port.
 * @param directory Of its store; undefined: it only counts.
 */
export async function replicationDrain(
  secure: boolean,
  directory: string | undefined,
  window: Window,
): Promise<number> {
  const store = directory && Store.create({ directory, vm: VM, bootId: readBootId() });
  if (store) await store.prepare(MAIN.name, MAIN.bytes);
  const sink = new Counted(store || new Forgetful(), window);
  const listener: BackupListener = new BackupListener(
    {
      vm: VM,
      host: HOST,
      incarnation: () => '2'.repeat(32),
      sink: () => sink,
      credentials: secure ? CREDENTIALS : undefined,
    },
    {
      hello: async () => {},
      full: () => {},
      committed: epoch => void listener.session?.ack(epoch),
      heard: () => {},
      guestLost: () => {},
      bye: () => {},
      closed: error => {
        if (!window.over) throw error ?? new Error('the source went away');
      },
    },
  );
  await listener.listen({ host: '127.0.0.1', port: 0 });
  return listener.port;
}
