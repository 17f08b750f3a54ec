/** For owner.test.ts: makes a lab with a process in it, prints its name, and ends as the first argument says. */
import { Lab } from '../../lab/lab.ts';

const ending = process.argv[2];
const lab = await Lab.create({ hosts: ['a'] });
lab.host('a').spawn('sleep', ['1000']);
process.stdout.write(`${lab.name}\n`);
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
