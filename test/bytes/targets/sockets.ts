/**
 * Sockets that speak QMP's shape: the servers of the witness and of the proxy, and the clients of QEMU and of the
 * witness. Through real unix sockets, each input over a connection of its own.
 */
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { CurlingError, ERROR_CODES } from '../../../common/errors.ts';
import { QmpClient } from '../../../common/qmp/client.ts';
import { isObject } from '../../../common/qmp/messages.ts';
import { QmpServer } from '../../../common/qmp/server.ts';
import type { SwapRequest } from '../../../coordinator/arbitration/register.ts';
import { parseRegister } from '../../../coordinator/arbitration/register-json.ts';
import { WitnessClient } from '../../../coordinator/arbitration/witness-client.ts';
import { controlCommands } from '../../../proxy/control.ts';
import type { TapProxy } from '../../../proxy/tap-proxy.ts';
import { witnessServer } from '../../../witness/service.ts';
import { initStore, WitnessStore } from '../../../witness/store.ts';
import { A, B, create, turn, VM } from '../../witness/support.ts';
import { type Attempt, codeOf, must, piecesOf, type Target } from '../target.ts';

/** A changed answer is often none: then both ends wait, and a client must not wait long. */
const SILENCE_MS = 30;
const PROBE = 'the last of it';

function line(command: string, args?: object, id?: unknown): Buffer {
  const text = JSON.stringify({ execute: command, arguments: args, id });
  return Buffer.from(`${text}\n`);
}

const NEGOTIATE = line('qmp_capabilities');
const WORDS = [
  ...[
    '"execute":',
    '"arguments":',
    '"id":',
    '"epoch":',
    '"constructor"',
    '"__proto__"',
    '"toString"',
  ],
  ...['{}', 'null', '-1', '1e400', '9007199254740993', '[[[[', '\n', '"\\ud800"', '"\\u0000"'],
].map(text => Buffer.from(text));

/** A folder for sockets and files, in memory. */
function folder(): string {
  const base = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  return fs.mkdtempSync(path.join(base, 'curling-test-bytes-'));
}

/** Says all pieces and then a command that is always answered; returns the answers to all before it. */
async function converse(socketPath: string, attempt: Attempt): Promise<string[]> {
  const socket = net.connect({ path: socketPath });
  socket.on('error', () => {});
  let came = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    came += text;
    if (came.includes(PROBE)) socket.end();
  });
  for (const piece of piecesOf(attempt)) socket.write(piece);
  socket.write(Buffer.concat([Buffer.from('\n'), line('query-commands', {}, PROBE)]));
  if (!socket.closed) await once(socket, 'close');
  return came.split('\n').filter(text => text.length > 0);
}

/** What an answer may be: a greeting, something returned, or an error with a documented code. */
function judge(text: string): string {
  const answer: unknown = JSON.parse(text);
  must(isObject(answer), 'an answer is an object');
  if ('QMP' in answer || 'return' in answer) return 'return';
  must(isObject(answer.error), `neither an answer nor an error: ${text}`);
  const { code } = answer.error;
  must(typeof code === 'string' && Object.hasOwn(ERROR_CODES, code), `the code ${code}`);
  must(code !== 'CURLING_INTERNAL', text);
  return code;
}

async function judgedAnswers(socketPath: string, attempt: Attempt): Promise<string> {
  const answers = await converse(socketPath, attempt);
  must(answers.length > 0 && answers[0]!.includes('"QMP"'), 'every client is greeted');
  const ends = answers
    .slice(1)
    .filter(text => !text.includes(PROBE))
    .map(judge);
  return [...new Set(ends)].sort().join(' ') || 'no answer';
}

/** The commands of a witness, with a store that never may let two requests of a generation win. */
export function witnessTarget(): Target {
  let place = '';
  let server: QmpServer;
  let store: WitnessStore;
  const won = new Set<string>();
  return {
    name: "the witness's commands",
    seeds: [
      Buffer.concat([
        NEGOTIATE,
        line('create', { vm: VM, primary: A }, 1),
        line('read', { vm: VM }, 2),
      ]),
      Buffer.concat([NEGOTIATE, ...turn(1).map(request => line('swap', request))]),
      Buffer.concat([
        NEGOTIATE,
        line('swap', { ...turn(3)[1], transition: 'solo-by-backup', by: B }, [1]),
      ]),
      Buffer.concat([NEGOTIATE, line('query-store'), line('query-status'), line('query-commands')]),
    ],
    words: WORDS,
    racing: true,
    allocatedMax: () => Infinity,
    async open() {
      place = folder();
      await initStore(path.join(place, 'store'));
      store = await WitnessStore.open(path.join(place, 'store'), { vmsMax: 50 });
      const swap = store.swap.bind(store);
      store.swap = async (request: SwapRequest) => {
        const result = await swap(request);
        if (!result.swapped) return result;
        const key = `${request.vm} ${result.register?.generation}`;
        must(!won.has(key), `two winners of ${key}`);
        won.add(key);
        parseRegister(JSON.parse(JSON.stringify(result.register)));
        return result;
      };
      server = witnessServer(store);
      await server.listen(path.join(place, 'socket'));
    },
    run: attempt => judgedAnswers(path.join(place, 'socket'), attempt),
    async close() {
      await server?.close();
      await store?.close();
      fs.rmSync(place, { recursive: true, force: true });
    },
  };
}

/** The commands of a proxy, in front of one that takes whole epochs alone. */
export function proxyTarget(): Target {
  let place = '';
  const whole = (epoch: unknown) =>
    must(Number.isSafeInteger(epoch) && (epoch as number) >= 1, `${epoch}`);
  const proxy = {
    hold: async (epoch?: number) => {
      if (epoch !== undefined) whole(epoch);
      return { epoch };
    },
    seal: async (epoch?: number) => {
      if (epoch !== undefined) whole(epoch);
      throw new CurlingError('CURLING_EPOCH', 'not the open one');
    },
    release: async (epoch: number) => whole(epoch),
    discard: async () => ({ frames: 0, bytes: 0 }),
    pass: async () => {},
    bypass: async () => {},
    status: () => ({}),
    counters: () => ({}),
  } as unknown as TapProxy;
  const server = new QmpServer({ program: 'proxy', commands: controlCommands(async () => proxy) });
  return {
    name: "the proxy's commands",
    seeds: [
      Buffer.concat([NEGOTIATE, line('hold', { epoch: 1 }), line('seal', { epoch: 7 }, 'a')]),
      Buffer.concat([
        NEGOTIATE,
        line('release', { epoch: 1 }),
        line('discard'),
        line('query-stats'),
      ]),
      Buffer.concat([
        NEGOTIATE,
        line('pass'),
        line('bypass'),
        line('query-status', {}, { a: [1] }),
      ]),
      Buffer.concat([
        NEGOTIATE,
        Buffer.from(`{"execute":"x","id":${'['.repeat(9000)}${']'.repeat(9000)}}\n`),
      ]),
    ],
    words: WORDS,
    racing: true,
    allocatedMax: () => Infinity,
    async open() {
      place = folder();
      await server.listen(path.join(place, 'socket'));
    },
    run: attempt => judgedAnswers(path.join(place, 'socket'), attempt),
    async close() {
      await server.close();
      fs.rmSync(place, { recursive: true, force: true });
    },
  };
}

/** A server that says one line of the input when somebody connects, one after each command, and then hangs up. */
function parrot(): {
  listen(): Promise<string>;
  speech(attempt: Attempt): void;
  close(): Promise<void>;
} {
  let place = '';
  let lines: Buffer[] = [];
  let pieces: readonly number[] = [];
  const server = net.createServer(socket => {
    const left = [...lines];
    const say = () => {
      const next = left.shift();
      if (!next) return socket.end();
      for (const piece of piecesOf({ input: next, pieces, mended: false })) socket.write(piece);
    };
    socket.on('error', () => {});
    socket.on('data', say);
    say();
  });
  return {
    async listen() {
      place = folder();
      const socketPath = path.join(place, 'socket');
      server.listen(socketPath);
      await once(server, 'listening');
      return socketPath;
    },
    speech(attempt) {
      pieces = attempt.pieces;
      lines = attempt.input
        .toString('latin1')
        .split('\n')
        .map(text => Buffer.from(`${text}\n`, 'latin1'));
    },
    async close() {
      await new Promise(resolve => server.close(resolve));
      fs.rmSync(place, { recursive: true, force: true });
    },
  };
}

const GREETING = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}';
const EVENT =
  '{"event": "MIGRATION", "data": {"status": "colo"}, "timestamp": {"seconds": 1, "microseconds": 2}}';

/** The client of QEMU's monitor. */
export function qmpTarget(): Target {
  const server = parrot();
  let socketPath = '';
  return {
    name: 'what QEMU says over QMP',
    seeds: [
      [GREETING, '{"return": {}, "id": 1}', `{"return": {"running": true}, "id": 2}\r`].join('\n'),
      [GREETING, '{"return": {}, "id": 1}', EVENT, '{"return": {}, "id": 2}'].join('\n'),
      [
        GREETING,
        '{"return": {}, "id": 1}',
        '{"error": {"class": "GenericError", "desc": "no"}, "id": 2}',
      ].join('\n'),
      [
        GREETING,
        '{"return": {}, "id": 1}',
        `{"error": {"code": "toString", "desc": ${'['.repeat(7000)}${']'.repeat(7000)}}, "id": 2}`,
      ].join('\n'),
    ].map(text => Buffer.from(text)),
    words: [...WORDS, '"event":"X"', '"timestamp":', '"error":{}', '"code":"valueOf"'].map(word =>
      Buffer.from(word),
    ),
    racing: true,
    allocatedMax: () => Infinity,
    async open() {
      socketPath = await server.listen();
    },
    async run(attempt) {
      server.speech(attempt);
      let client: QmpClient | undefined;
      try {
        client = await QmpClient.connect(socketPath, {
          connectTimeoutMs: SILENCE_MS,
          commandTimeoutMs: SILENCE_MS,
          lineBytesMax: 1 << 16,
        });
        client.on('event', ({ data, timestamp }) => {
          must(isObject(data), 'the data of an event is an object');
          must(
            !Number.isNaN(Date.parse(new Date(timestamp.seconds * 1000).toISOString())),
            'a time',
          );
        });
        await client.execute('query-status');
        return 'answered';
      } catch (error) {
        return codeOf(error);
      } finally {
        client?.close();
      }
    },
    close: () => server.close(),
  };
}

/** The client of a witness. */
export function witnessAnswerTarget(): Target {
  const server = parrot();
  let socketPath = '';
  const store = 'ab'.repeat(16);
  const register = { store, vm: VM, generation: 2, mode: 'PAIR', primary: A, backup: B };
  const head = [GREETING, '{"return": {}, "id": 1}', `{"return": {"store": "${store}"}, "id": 2}`];
  const speech = (answer: unknown) =>
    Buffer.from([...head, JSON.stringify({ return: answer, id: 3 })].join('\n'));
  return {
    name: "the witness's answers",
    seeds: [
      speech({ register }),
      speech({ swapped: true, register: { ...register, mode: 'SOLO', backup: null } }),
      speech({ register: null, generation: 4 }),
    ],
    words: [...WORDS, '"generation":0', '"mode":"SOLO"', '"backup":null'].map(word =>
      Buffer.from(word),
    ),
    racing: true,
    allocatedMax: () => Infinity,
    async open() {
      socketPath = await server.listen();
    },
    async run(attempt) {
      server.speech(attempt);
      // A path in the place of an address: the client hands it on as it is.
      const client = new WitnessClient(socketPath as never, {
        requestTimeoutMs: SILENCE_MS,
        backOffMs: 10_000,
      });
      try {
        const { swapped, register: got } = await client.swap(create);
        if (got !== null) parseRegister(JSON.parse(JSON.stringify(got)));
        must(typeof swapped === 'boolean', 'granted or not');
        must(got === null || got.vm === VM, 'the register of the machine that was asked for');
        return got === null ? 'absent' : got.mode;
      } catch (error) {
        return codeOf(error);
      } finally {
        client.close();
      }
    },
    close: () => server.close(),
  };
}
