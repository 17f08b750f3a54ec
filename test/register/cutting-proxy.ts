/** A TCP proxy that can cut a connection between a request, which it delivers, and its answer. */
import { once } from 'node:events';
import net from 'node:net';

export class CuttingProxy {
  readonly port: number;
  /** Connections cut so far. */
  cuts = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Questions whose answers still pass until the cut; undefined: all pass. */
  #until: number | undefined;

  private constructor(server: net.Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Listens on the loopback and passes on to `target`. */
  static async open(target: number): Promise<CuttingProxy> {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new CuttingProxy(server, (server.address() as net.AddressInfo).port);
    server.on('connection', socket => proxy.#serve(socket, net.connect(target, '127.0.0.1')));
    return proxy;
  }

  /** Cuts when the answer to the `nth` question from now on comes back, and drops that answer. */
  cutAnswer(nth: number): void {
    this.#until = nth;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(client: net.Socket, server: net.Socket): void {
    let asking = false;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', chunk => {
      if (!asking && this.#until !== undefined) this.#until--;
      asking = true;
      server.write(chunk);
    });
    server.on('data', chunk => {
      asking = false;
      if (this.#until !== 0) return void client.write(chunk);
      this.#until = undefined;
      this.cuts++;
      client.destroy();
      server.destroy();
    });
  }
}
