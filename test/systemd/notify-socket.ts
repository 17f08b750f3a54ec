/**
 * A double of the service manager's end of sd_notify(3): a unix datagram socket, which Node does not have, so the calls
 * are the C library's.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import koffi from 'koffi';

/** include/bits/socket.h */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const MESSAGE_BYTES_MAX = 4096;
const POLL_MS = 5;

const libc = koffi.load(null);
const socket = libc.func('int socket(int, int, int)');
const bind = libc.func('int bind(int, void *, uint32_t)');
const recv = libc.func('int64_t recv(int, void *, size_t, int)');

export class NotifySocket {
  readonly path: string;
  /** What has come, a line each, in order. */
  readonly lines: string[] = [];
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(MESSAGE_BYTES_MAX);

  constructor(t: ExecutionContext) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-notify-'));
    this.path = path.join(folder, 'notify');
    const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(`${this.path}\0`)]);
    this.#fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    t.is(bind(this.#fd, address, address.length), 0);
    const timer = setInterval(() => this.#receive(), POLL_MS);
    t.teardown(() => {
      clearInterval(timer);
      fs.closeSync(this.#fd);
      fs.rmSync(folder, { recursive: true, force: true });
    });
  }

  /** What a service manager puts into the environment. */
  environment(watchdogMs?: number): Record<string, string> {
    const watchdog = watchdogMs === undefined ? {} : { WATCHDOG_USEC: String(watchdogMs * 1000) };
    return { NOTIFY_SOCKET: this.path, ...watchdog };
  }

  count(line: string): number {
    return this.lines.filter(one => one === line).length;
  }

  #receive(): void {
    for (;;) {
      const length = Number(recv(this.#fd, this.#buffer, MESSAGE_BYTES_MAX, MSG_DONTWAIT));
      if (length < 0) return;
      this.lines.push(...this.#buffer.toString('utf8', 0, length).split('\n'));
    }
  }
}
