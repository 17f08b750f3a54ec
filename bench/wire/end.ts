/**
 * One end of a transfer, as a process of its own: `end --role source|drain --way WAY [--tls] [--port N] [--directory DIR]
 * --warm MS --ms MS`. Whoever listens says `{"type":"ready","port":…}`; each says `{"type":"result",…}` with its Share once
 * its window is over, and goes on until its standard input is closed, so that the other one's window is whole too.
 */
import { once } from 'node:events';
import { requiredText, wholeNumber } from '../../common/options.ts';
import { runProgram } from '../../common/program.ts';
import { ranDirectly } from '../../lab/client/worker.ts';
import { replicationDrain } from './replication-drain.ts';
import { replicationSource } from './replication-source.ts';
import { streamDrain, streamSource } from './stream-ends.ts';
import { isStream, WAYS, type Way } from './ways.ts';
import { Window } from './window.ts';

interface End {
  role: string;
  way: Way;
  secure: boolean;
  port: number;
  directory: string;
}

/** Begins; resolves with the port when it listens. */
async function begin({ role, way, secure, port, directory }: End, window: Window) {
  const source = role === 'source';
  if (isStream(way)) {
    if (source) return streamSource(secure, window);
    return streamDrain(port, secure, way === 'own-buffer', window);
  }
  if (source) return replicationSource(port, secure, way === 'checkpoints', window);
  return replicationDrain(secure, way === 'counted' ? undefined : directory, window);
}

function say(facts: object): void {
  process.stdout.write(`${JSON.stringify(facts)}\n`);
}

if (ranDirectly(import.meta.url)) {
  const text = (help: string) => ({ type: 'string' as const, value: 'X', help });
  await runProgram(
    {
      program: 'bench end',
      usage: '--role ROLE --way WAY [options] --warm MS --ms MS',
      summary: 'Sends bytes, or takes them.',
      options: {
        role: text('source or drain'),
        way: text(WAYS.join(', ')),
        tls: { type: 'boolean', help: 'encrypted' },
        port: text('of who listens'),
        directory: text('of the store'),
        warm: text('milliseconds that do not count'),
        ms: text('milliseconds that do'),
      },
    },
    async ({ values }) => {
      const window = new Window(
        wholeNumber('warm', values.warm, 0, 60_000),
        wholeNumber('ms', values.ms, 1, 60_000),
      );
      const end = {
        role: requiredText('role', values.role),
        way: requiredText('way', values.way) as Way,
        secure: values.tls === true,
        port: wholeNumber('port', values.port ?? '0', 0, 65_535),
        directory: String(values.directory ?? ''),
      };
      const port = await begin(end, window);
      say({ type: 'ready', port: port ?? 0 });
      say({ type: 'result', ...(await window.done) });
      process.stdin.resume();
      await once(process.stdin, 'end');
      process.exit();
    },
  );
}
