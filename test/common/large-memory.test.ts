import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';

/** Frees pieces of 24 MiB, by which glibc keeps more than 1 MiB, then 200 of 1 MiB; prints how much the process shrank. */
const PROGRAM = `
  import { setTimeout as sleep } from 'node:timers/promises';
  const { returnLargeMemory } = await import(process.argv[1]);
  if (!returnLargeMemory()) process.exit(3);
  const collect = async () => {
    for (let turn = 0; turn < 10; turn++) {
      globalThis.gc();
      await sleep(20);
    }
  };
  for (let piece = 0; piece < 3; piece++) Buffer.alloc(24 << 20, 1);
  await collect();
  let slabs = [];
  const others = [];
  for (let slab = 0; slab < 200; slab++) {
    slabs.push(Buffer.alloc(1 << 20, 0xff));
    for (let other = 0; other < 40; other++) others.push(Buffer.allocUnsafeSlow(3000));
  }
  const full = process.memoryUsage().rss;
  slabs = [];
  await collect();
  console.log(full - process.memoryUsage().rss + 0 * others.length);
`;

test('freed slabs leave the process', async t => {
  const unit = new URL('../../common/large-memory.js', import.meta.url).href;
  const args = ['--expose-gc', '--input-type=module', '--eval', PROGRAM, unit];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  t.true(Number(stdout) > 150 << 20, `${stdout} bytes; all stays without the setting`);
});
