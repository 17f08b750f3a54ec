/** Asks the coordinators of this host again and again, for their status and for what the last minute was like. */
import { asCurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { HistoryDocument } from '../../coordinator/history.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { connect } from '../sockets.ts';
import type { Seconds, TopMachine } from './screen.ts';

/** What is kept of each machine, seconds. */
const SECONDS_MAX = 60;
/** A history comes in pieces; a coordinator that never ends must not keep us. */
const PIECES_MAX = 20;
const COLUMNS = ['delayP50', 'pauseP50', 'epochs'] as const satisfies (keyof Seconds)[];

/** One coordinator, over one connection for as long as that stands. */
export class Watcher {
  readonly socket: string;
  #client: QmpClient | undefined;
  #cursor = '';
  #seconds: Seconds = { delayP50: [], pauseP50: [], epochs: [] };

  constructor(socket: string) {
    this.socket = socket;
  }

  /** What there is to show now; never throws. */
  async look(): Promise<TopMachine> {
    const { socket } = this;
    try {
      this.#client ??= await connect(socket);
      const status = (await this.#client.execute('query-status')) as CoordinatorStatus;
      await this.#readHistory(this.#client);
      return { socket, status, seconds: this.#seconds };
    } catch (error) {
      this.close();
      const none = { delayP50: [], pauseP50: [], epochs: [] };
      return { socket, error: asCurlingError(error, 'CURLING_CONNECT'), seconds: none };
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  async #readHistory(client: QmpClient): Promise<void> {
    for (let piece = 0; piece < PIECES_MAX; piece++) {
      const answer = await client.execute('query-history', { cursor: this.#cursor });
      const { cursor, reset, more, fine } = answer as unknown as HistoryDocument;
      this.#cursor = cursor;
      for (const name of COLUMNS) {
        const before = reset ? [] : this.#seconds[name];
        this.#seconds[name] = [...before, ...fine.columns[name]].slice(-SECONDS_MAX);
      }
      if (!more) return;
    }
  }
}
