/** `npm run man`: writes the lists of options in docs/man anew, from docs/operations.md and the commands of curlingctl. */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { manualPages } from './pages.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
for (const { file, text, fresh } of manualPages(repository)) {
  if (text !== fresh) fs.writeFileSync(file, fresh);
  process.stdout.write(`${file}: ${text === fresh ? 'is up to date' : 'written'}\n`);
}
