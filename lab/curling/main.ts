/**
 * `node build/lab/curling/main.js --qmp PATH --to HOST:PORT [--socket PATH] [--interval MS]`: sends the guest behind a monitor
 * to a receiver of Curling's stream, until it is killed or the receiver ends it.
 */
import { CurlingError } from '../../common/errors.ts';
import {
  type CommandSpec,
  parseCommandLine,
  requiredText,
  tcpAddress,
  wholeNumber,
} from '../../common/options.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { CurlingSender } from './sender.ts';

const SENDER: CommandSpec = {
  program: 'curling-sender',
  usage: '--qmp PATH --to HOST:PORT [options]',
  summary: "Stands in for a QEMU with Curling's patches of 2013: makes their stream of COLO's.",
  options: {
    qmp: { type: 'string', value: 'PATH', help: 'a monitor of the guest, for this program alone' },
    to: { type: 'string', value: 'HOST:PORT', help: 'where the stream is wanted' },
    socket: {
      type: 'string',
      value: 'PATH',
      help: 'where QEMU connects to (default: PATH.migrate)',
    },
    interval: {
      type: 'string',
      value: 'MS',
      default: '20',
      help: "from a checkpoint's head to the guest's stop",
    },
  },
};

const { values } = parseCommandLine(SENDER, process.argv.slice(2));
const qmpPath = requiredText('qmp', values.qmp);
const { host, port } = tcpAddress('to', requiredText('to', values.to));
const qmp = await QmpClient.connect(qmpPath);
const sender = new CurlingSender({
  qmp,
  host,
  port,
  socketPath: typeof values.socket === 'string' ? values.socket : `${qmpPath}.migrate`,
  intervalMs: wholeNumber('interval', values.interval, 1, 60_000),
});
try {
  await sender.start();
  process.stdout.write(`sending to ${host}:${port}\n`);
  await sender.over;
} catch (error) {
  const text = error instanceof CurlingError ? `${error.code}: ${error.message}` : String(error);
  process.stderr.write(`after ${sender.sent} checkpoints: ${text}\n`);
  process.exitCode = 1;
} finally {
  await sender.end().catch(() => {});
  qmp.close();
}
