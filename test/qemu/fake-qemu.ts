/** A test double of a QEMU on the primary: a monitor, and the sending end of a migration that the test writes itself. */
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { type CommandHandler, QmpServer } from '../../common/qmp/server.ts';

export class FakeQemu {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-fake-'));
  /** Every command with its arguments, in order. */
  readonly said: [string, JsonObject][] = [];
  capabilities = ['x-colo', 'events', 'xbzrle', 'return-path', 'x-ignore-shared'];
  migration: JsonObject = {};
  running = true;
  stream: net.Socket | undefined;
  /** What the other end of the migration has written. */
  answers = Buffer.alloc(0);
  qmp!: QmpClient;
  readonly #server: QmpServer;

  /** @param answers What it answers to commands, or does about them; undefined takes a command away. */
  constructor(answers: Record<string, unknown> = {}) {
    const commands: Record<string, CommandHandler> = {
      'query-migrate-capabilities': () =>
        this.capabilities.map(capability => ({ capability, state: false })),
      'migrate-set-capabilities': () => ({}),
      'migrate-set-parameters': () => ({}),
      'query-migrate': () => this.migration,
      'query-status': () => ({ running: this.running }),
      migrate: args => this.#migrate(String(args.uri)),
      'x-colo-lost-heartbeat': () => this.#end('completed'),
      migrate_cancel: () => this.#end('cancelled'),
      cont: () => {
        this.running = true;
      },
    };
    for (const [name, answer] of Object.entries(answers)) {
      if (answer === undefined) delete commands[name];
      else
        commands[name] = typeof answer === 'function' ? (answer as CommandHandler) : () => answer;
    }
    const heard = Object.entries(commands).map(([name, handler]): [string, CommandHandler] => [
      name,
      (args, client) => {
        this.said.push([name, args]);
        return handler(args, client);
      },
    ]);
    this.#server = new QmpServer({ program: 'fake', commands: Object.fromEntries(heard) });
  }

  async start(): Promise<this> {
    await this.#server.listen(this.path('qmp'));
    this.qmp = await QmpClient.connect(this.path('qmp'));
    return this;
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** Reports a state of the migration, as QEMU does. */
  status(status: string, more: JsonObject = {}): void {
    this.migration = { status, ...more };
    this.#server.emit('MIGRATION', { status });
  }

  /** Waits until the other end has answered `count` codes; returns them all. */
  async codes(count: number): Promise<number[]> {
    while (this.answers.length < count * 4) await once(this.stream!, 'data');
    return Array.from({ length: count }, (_, n) => this.answers.readUInt32BE(n * 4));
  }

  async remove(): Promise<void> {
    this.qmp.close();
    this.stream?.destroy();
    await this.#server.close();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  async #migrate(uri: string): Promise<void> {
    const socket = net.connect({ path: uri.replace(/^unix:/, '') });
    socket.on('data', chunk => {
      this.answers = Buffer.concat([this.answers, chunk]);
    });
    socket.on('error', () => {});
    this.stream = socket;
    await once(socket, 'connect');
    this.status('active');
  }

  #end(status: string): void {
    if (this.migration.status !== 'colo' && status === 'completed')
      throw new CurlingError('CURLING_COMMAND_FAILED', 'VM is not in COLO mode');
    this.status(status);
    this.running = true;
  }
}
