/**
 * How fast checkpoints are taken from a socket, as a process of its own: `stage-speed --way WAY --ms MS` ends with one line
 * of JSON, `{"bytes":…,"ms":…,"cpuMs":…}`, the latter of the reader alone. A child of it writes one checkpoint after the
 * other; here each is
 *
 *   discard        counted and dropped, as Node gives it: the least that a reader does
 *   discard-into   the same, read into one buffer (common/wire/read-into.ts)
 *   stage          read into one buffer, decoded and staged, as the coordinator does
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CurlingError } from '../../common/errors.ts';
import { requiredText, wholeNumber } from '../../common/options.ts';
import { runProgram } from '../../common/program.ts';
import { readInto } from '../../common/wire/read-into.ts';
import { ranDirectly } from '../../lab/client/worker.ts';
import { decoding, randomCheckpoint } from './decoder-speed.ts';

const WAYS = ['discard', 'discard-into', 'stage'] as const;
type Way = (typeof WAYS)[number];

export interface StageFigures {
  bytes: number;
  ms: number;
  /** Of the reading process. */
  cpuMs: number;
}

const WARM_UP_MS = 300;
/** As the coordinator's. */
const READ_BYTES = 64 << 10;

/** Writes checkpoints until nobody reads them. */
function send(socketPath: string): void {
  const checkpoint = randomCheckpoint();
  const socket = net.connect(socketPath);
  const fill = () => {
    while (socket.write(checkpoint));
    socket.once('drain', fill);
  };
  socket.on('error', () => process.exit());
  socket.on('close', () => process.exit());
  socket.once('connect', fill);
}

/** What takes the bytes that come. */
function takerOf(way: Way): (chunk: Buffer) => void {
  if (way !== 'stage') return () => {};
  const { push } = decoding();
  return push;
}

function inPlace(socket: net.Socket, take: (chunk: Buffer) => void): void {
  const buffer = Buffer.alloc(READ_BYTES);
  const filled = (bytes: number) => take(buffer.subarray(0, bytes));
  assert(readInto(socket, { space: () => buffer, filled }), 'this Node reads as always only');
}

async function measure(way: Way, durationMs: number): Promise<StageFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'curling-bench-stage-'));
  const socketPath = join(folder, 'socket');
  const take = takerOf(way);
  let bytes = 0;
  const counted = (chunk: Buffer) => {
    bytes += chunk.length;
    take(chunk);
  };
  const server = net.createServer();
  let sender: ChildProcess | undefined;
  try {
    await once(server.listen(socketPath), 'listening');
    const program = fileURLToPath(import.meta.url);
    sender = spawn(process.execPath, [
      program,
      '--way',
      'send',
      '--ms',
      '1',
      '--socket',
      socketPath,
    ]);
    const [accepted] = (await once(server, 'connection')) as [net.Socket];
    if (way === 'discard') accepted.on('data', counted);
    else inPlace(accepted, counted);
    await sleep(WARM_UP_MS);
    const [startMs, cpu, before] = [performance.now(), process.cpuUsage(), bytes];
    await sleep(durationMs);
    const { user, system } = process.cpuUsage(cpu);
    const ms = performance.now() - startMs;
    return { bytes: bytes - before, ms, cpuMs: (user + system) / 1000 };
  } finally {
    sender?.kill();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function wayOf(text: string): Way {
  const found = WAYS.find(way => way === text);
  if (found) return found;
  throw new CurlingError('CURLING_USAGE', `--way: expected ${WAYS.join(', ')}, got ${text}`);
}

if (ranDirectly(import.meta.url)) {
  await runProgram(
    {
      program: 'bench stage-speed',
      usage: '--way discard|discard-into|stage --ms MS',
      summary: 'Reads checkpoints from a socket and drops them, or decodes and stages them.',
      options: {
        way: { type: 'string', value: 'WAY', help: 'discard, discard-into or stage' },
        ms: { type: 'string', value: 'MS', help: 'how long' },
        socket: { type: 'string', value: 'PATH', help: 'of the writing child' },
      },
    },
    async ({ values }) => {
      if (values.way === 'send') {
        send(requiredText('socket', values.socket));
        await new Promise(() => {});
      }
      const way = wayOf(requiredText('way', values.way));
      const ms = wholeNumber('ms', values.ms, 1, 60_000);
      process.stdout.write(`${JSON.stringify(await measure(way, ms))}\n`);
      process.exit(0);
    },
  );
}
