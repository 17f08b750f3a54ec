/**
 * A program in the place of a standby QEMU: serves a monitor where its last option says, until it is killed.
 * `fake-standby.js [MACHINE | exit STATUS TEXT]`; the second form writes TEXT and ends at once.
 */
import { QmpServer } from '../../common/qmp/server.ts';
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
await new QmpServer({ program: 'standby', commands: guestAnswers(machine) }).listen(monitor);
