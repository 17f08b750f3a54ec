/**
 * A program in the place of a standby QEMU: serves a monitor where its last option says, until it is killed. It listens for
 * a resume stream and never says that it has loaded one, unless it is told to: `loads`, or `refuses` in words of its own.
 * `fake-standby.js [MACHINE [loads | refuses] | exit STATUS TEXT]`; the last form writes TEXT and ends at once.
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
let state = 'inmigrate';
const commands: Record<string, CommandHandler> = {
  ...guestAnswers(machine),
  'query-status': () => ({ running: false, status: state }),
  'migrate-incoming': async ({ uri }) => {
    const incoming = net.createServer(socket => socket.resume().on('end', loaded));
    await once(incoming.listen(String(uri).slice(5)), 'listening');
  },
};
const server = new QmpServer({ program: 'standby', commands });

function loaded(): void {
  if (status === 'refuses') {
    process.stderr.write('load of migration failed\n');
    process.exit(1);
  }
  if (status !== 'loads') return;
  state = 'paused';
  server.emit('MIGRATION', { status: 'completed' });
}
await server.listen(monitor);
