/**
 * A program in the place of a standby QEMU: serves a monitor where its last option says, until it is killed. It listens for
 * a resume stream and never says that it has loaded one.
 * `fake-standby.js [MACHINE | exit STATUS TEXT]`; the second form writes TEXT and ends at once.
 */
import { once } from 'node:events';
import net from 'node:net';
import { type CommandHandler, QmpServer } from '../../common/qmp/server.ts';
import { guestAnswers } from './fake-guest.ts';

const [first, status, text] = process.argv.slice(2);
if (first === 'exit') {
  process.stderr.write(`${text}\n`);
  process.exit(Number(status));
}
const monitor = process.argv
  .at(-1)!
  .replace(/^unix:/, '')
  .replace(/,server=on,wait=off$/, '');
const machine = first?.startsWith('-') ? undefined : first;
const commands: Record<string, CommandHandler> = {
  ...guestAnswers(machine),
  'migrate-incoming': async ({ uri }) => {
    const server = net.createServer(socket => socket.resume()).listen(String(uri).slice(5));
    await once(server, 'listening');
  },
};
await new QmpServer({ program: 'standby', commands }).listen(monitor);
