/** An HTTP server in the place of an etcd endpoint, which answers as a test wants, or asks etcd. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';

export interface GatewayAnswer {
  status?: number;
  text: string;
  /** The text comes again and again, for ever. */
  endless?: true;
}

/** What comes back for a request; undefined: nothing, ever. */
export type Answerer = (body: string) => Promise<GatewayAnswer | undefined>;

export class Gateway {
  readonly url: URL;
  answer: Answerer;
  /** Bodies that came, in their order. */
  readonly bodies: string[] = [];

  private constructor(url: URL, answer: Answerer) {
    this.url = url;
    this.answer = answer;
  }

  /** Listens on the loopback until the test ends. */
  static async open(t: ExecutionContext, answer: Answerer): Promise<Gateway> {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const gateway = new Gateway(new URL(`http://127.0.0.1:${port}`), answer);
    server.on('request', (request, response) => void gateway.#serve(request, response));
    return gateway;
  }

  /** Whether a body that came wants to write. */
  get writes(): number {
    return this.bodies.filter(isWrite).length;
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += chunk;
    this.bodies.push(body);
    const answer = await this.answer(body);
    if (answer === undefined) return;
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
    if (!answer.endless) return void response.end(answer.text);
    const more = () => {
      while (!response.destroyed && response.write(answer.text));
    };
    response.on('drain', more);
    more();
  }
}

/** Whether a transaction would write. */
export function isWrite(body: string): boolean {
  return body.includes('request_put');
}

/** Asks an etcd. */
export async function relay(port: number, body: string): Promise<GatewayAnswer> {
  const url = `http://127.0.0.1:${port}/v3/kv/txn`;
  const response = await fetch(url, { method: 'POST', body });
  return { status: response.status, text: await response.text() };
}
