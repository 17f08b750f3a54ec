/**
 * Receives the guest's records and checks them as they come; the oracle judges the captures
 * afterwards.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { requiredText, type TcpAddress, tcpAddress } from '../../common/options.ts';
import { decodeRecord } from '../guest/record.ts';
import { RecordLedger } from '../observer/record-ledger.ts';
import { type Silence, SilenceTracker } from './silence.ts';
import { wallMs } from './wall-clock.ts';
import { type Facts, ranDirectly, runWorker, type Worker } from './worker.ts';

export interface RecordsSummary {
  records: number;
  repeated: number;
  contradicted: number;
  brokenChains: number;
  /** Sequences between the first and the last one that have not come. */
  missing: number;
  first: number | undefined;
  last: number | undefined;
  /** Datagrams that are no records. */
  foreign: number;
  silences: Silence[];
  offences: string[];
}

const RECEIVE_BUFFER_BYTES = 4 << 20;

export class RecordsClient implements Worker {
  readonly #socket: Socket;
  readonly #ledger = new RecordLedger();
  readonly #silences = new SilenceTracker();
  #foreign = 0;
  #stopped = false;

  /** Binds a UDP port; 0 is any free one. */
  static async start(listen: { host: string; port: number }): Promise<RecordsClient> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
    socket.bind(listen.port, listen.host);
    await once(socket, 'listening');
    return new RecordsClient(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('message', (datagram, from) => this.#receive(datagram, from.address));
  }

  get address(): TcpAddress {
    const { address, port } = this.#socket.address();
    return { host: address, port };
  }

  progress(): Facts {
    return { ...this.summary() };
  }

  summary(): RecordsSummary {
    const ledger = this.#ledger;
    return {
      records: ledger.records,
      repeated: ledger.repeated,
      contradicted: ledger.contradicted,
      brokenChains: ledger.brokenChains,
      missing: ledger.missing,
      first: ledger.first,
      last: ledger.last,
      foreign: this.#foreign,
      silences: this.#silences.longest(this.#stopped ? undefined : wallMs()),
      offences: ledger.offences.texts(),
    };
  }

  async stop(): Promise<Facts> {
    const summary = this.summary();
    this.#stopped = true;
    this.#socket.close();
    return { ...summary };
  }

  #receive(datagram: Buffer, from: string): void {
    const nowMs = wallMs();
    const record = decodeRecord(datagram);
    if (!record) {
      this.#foreign++;
      return;
    }
    this.#silences.see(nowMs);
    this.#ledger.see(record, from, nowMs);
  }
}

if (ranDirectly(import.meta.url)) {
  await runWorker(
    {
      program: 'lab records',
      usage: '--listen HOST:PORT',
      summary: "Receives and checks the guest's UDP records.",
      options: {
        listen: { type: 'string', value: 'HOST:PORT', help: 'where the guest sends them' },
      },
    },
    ({ values }) =>
      RecordsClient.start(tcpAddress('listen', requiredText('listen', values.listen))),
  );
}
