/**
 * Serves the compare-and-swap register over TCP. With --log every operation is written to a file
 * as a JSON line (CasLogEntry), for the oracle.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { CurlingError } from '../../common/errors.ts';
import { requiredText, type TcpAddress, tcpAddress } from '../../common/options.ts';
import { LineSplitter } from '../../common/qmp/lines.ts';
import { CasRegister, type CasSummary } from './register.ts';
import { type Silence, SilenceTracker } from './silence.ts';
import { wallMs } from './wall-clock.ts';
import { type Facts, ranDirectly, runWorker, type Worker } from './worker.ts';

export interface CasServerOptions {
  /** Port 0: any free one. */
  listen: { host: string; port: number };
  /** File for the log, JSON lines. */
  log?: string;
}

export interface CasServerSummary extends CasSummary {
  /** Connections accepted: more than one means that the guest's was lost. */
  connections: number;
  /** Longest times between two operations, longest first. */
  silences: Silence[];
}

const LINE_BYTES_MAX = 512;
const CONNECTIONS_MAX = 16;

export class CasServer implements Worker {
  readonly register = new CasRegister();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #silences = new SilenceTracker();
  readonly #file: WriteStream | undefined;
  #logged = 0;
  #connections = 0;
  #stopped = false;

  /** Listens. @throws CurlingError CURLING_CONNECT when the address cannot be had. */
  static start(options: CasServerOptions): Promise<CasServer> {
    const server = createServer({ noDelay: true });
    server.maxConnections = CONNECTIONS_MAX;
    return new Promise((resolve, reject) => {
      server.once('error', error =>
        reject(new CurlingError('CURLING_CONNECT', error.message, { cause: error })),
      );
      server.listen(options.listen, () => resolve(new CasServer(server, options)));
    });
  }

  private constructor(server: Server, options: CasServerOptions) {
    this.#server = server;
    this.#file = options.log === undefined ? undefined : createWriteStream(options.log);
    server.on('connection', socket => this.#serve(socket));
  }

  /** Where it listens. */
  get address(): TcpAddress {
    const address = this.#server.address() as { address: string; port: number };
    return { host: address.address, port: address.port };
  }

  progress(): Facts {
    return { ...this.summary() };
  }

  summary(): CasServerSummary {
    return {
      ...this.register.summary(),
      connections: this.#connections,
      silences: this.#silences.longest(this.#stopped ? undefined : wallMs()),
    };
  }

  async stop(): Promise<Facts> {
    const summary = this.summary();
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise(resolve => this.#server.close(resolve));
    await new Promise<void>(resolve => (this.#file ? this.#file.end(resolve) : resolve()));
    return { ...summary };
  }

  #serve(socket: Socket): void {
    const lines = new LineSplitter(LINE_BYTES_MAX);
    this.#connections++;
    this.#sockets.add(socket);
    socket.on('error', () => {}); // The close that follows is what counts.
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', chunk => {
      try {
        for (const line of lines.push(chunk)) socket.write(`${this.#decide(line)}\n`);
      } catch {
        socket.destroy(); // A line without end.
      }
    });
  }

  #decide(line: string): string {
    const nowMs = wallMs();
    this.#silences.see(nowMs);
    const answer = this.register.apply(line, nowMs);
    for (; this.#logged < this.register.log.length; this.#logged++)
      this.#file?.write(`${JSON.stringify(this.register.log[this.#logged])}\n`);
    return answer;
  }
}

if (ranDirectly(import.meta.url)) {
  await runWorker(
    {
      program: 'lab cas-server',
      usage: '--listen HOST:PORT [--log FILE]',
      summary: 'A compare-and-swap register for the guest.',
      options: {
        listen: { type: 'string', value: 'HOST:PORT', help: 'where the guest finds it' },
        log: { type: 'string', value: 'FILE', help: 'every operation as a JSON line' },
      },
    },
    ({ values }) =>
      CasServer.start({
        listen: tcpAddress('listen', requiredText('listen', values.listen)),
        ...(typeof values.log === 'string' ? { log: values.log } : {}),
      }),
  );
}
