/**
 * What a daemon tells the service manager that started it: sd_notify(3), a datagram of `NAME=VALUE` lines to the unix
 * socket in NOTIFY_SOCKET. Without the variable nothing is told to anybody. Node has no unix datagrams, so the calls are
 * the C library's.
 */
import { messageOf } from '../errors.ts';

/** include/bits/socket.h and include/linux/un.h */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SUN_PATH_BYTES = 108;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** A status is one line for a reader. */
const STATUS_CHARACTERS_MAX = 200;

/** Sends one message; a manager that does not take it costs nothing. */
export type NotifySender = (message: string) => void;

export class Notifier {
  readonly #send: NotifySender;
  /** Microseconds within which the manager wants to hear `WATCHDOG=1`, in milliseconds; undefined: it does not. */
  readonly watchdogMs: number | undefined;
  #status = '';

  constructor(send: NotifySender, watchdogMs?: number) {
    this.#send = send;
    this.watchdogMs = watchdogMs;
  }

  /**
   * The manager that the environment names. The variables are taken out, so that nothing that we start uses them.
   * @returns A notifier that tells nobody when there is no manager, and in `problem` why one cannot be told.
   */
  static async fromEnvironment(
    environment: NodeJS.ProcessEnv = process.env,
  ): Promise<{ notifier: Notifier; problem?: string }> {
    const { NOTIFY_SOCKET: path, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment;
    delete environment.NOTIFY_SOCKET;
    delete environment.WATCHDOG_USEC;
    delete environment.WATCHDOG_PID;
    if (!path) return { notifier: new Notifier(() => {}) };
    const mine = pid === undefined || pid === String(process.pid);
    const watchdogMs = mine && Number(usec) > 0 ? Number(usec) / 1000 : undefined;
    try {
      return { notifier: new Notifier(await datagramSender(path), watchdogMs) };
    } catch (error) {
      return { notifier: new Notifier(() => {}), problem: `NOTIFY_SOCKET: ${messageOf(error)}` };
    }
  }

  /** The work has begun: what the unit promises holds from here on. */
  ready(): void {
    this.#send('READY=1');
  }

  /** One line for `systemctl status`; said again only when it is another one. */
  status(text: string): void {
    const line = text.replace(/\s+/g, ' ').slice(0, STATUS_CHARACTERS_MAX);
    if (line === this.#status) return;
    this.#status = line;
    this.#send(`STATUS=${line}`);
  }

  /** The end has begun. */
  stopping(): void {
    this.#send('STOPPING=1');
  }

  /** The work makes progress. */
  alive(): void {
    this.#send('WATCHDOG=1');
  }
}

/**
 * Sends datagrams to a unix socket, `@NAME` for an abstract one. Never blocks and never fails: a message that finds no room
 * is lost.
 * @throws Error when there is no such call, or the path is too long.
 */
export async function datagramSender(path: string): Promise<NotifySender> {
  const name = Buffer.from(path);
  if (name.length >= SUN_PATH_BYTES) throw new Error(`${path} is too long for a unix socket`);
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int, int, int)');
  const sendto = libc.func('int64_t sendto(int, void *, size_t, int, void *, uint32_t)');
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) as number;
  if (fd < 0) throw new Error(`socket failed with errno ${koffi.errno()}`);
  const address = Buffer.alloc(2 + name.length + (path.startsWith('@') ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  name.copy(address, 2);
  if (path.startsWith('@')) address[2] = 0;
  return message => {
    const bytes = Buffer.from(message);
    sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length);
  };
}
