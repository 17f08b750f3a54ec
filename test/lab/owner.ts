/** For owner.test.ts: makes a lab with a process in it, prints both, and ends as the first argument says. */
import { Lab } from '../../lab/lab.ts';

const ending = process.argv[2];
const lab = await Lab.create({ hosts: ['a'] });
const child = lab.host('a').spawn('sleep', ['1000']);
// Not waited for: a process on its way into its namespace must not outlive the lab either.
process.stdout.write(`${lab.name} ${child.pid}\n`);
if (ending === 'throw') {
  setTimeout(() => {
    throw new Error('on purpose');
  });
} else if (ending === 'exit') {
  process.exit(0);
} else if (ending === 'leave') {
  lab.leave();
} else {
  setInterval(() => {}, 1000);
}
