import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildImage, type GuestImage } from '../../lab/image.ts';
import { Lab } from '../../lab/lab.ts';
import { BUSYBOX } from '../../lab/paths.ts';
import { guestArguments, startGuest } from '../../lab/qemu.ts';

const WORKLOAD = `
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words)
{
    if (count > 1 && strcmp(words[1], "end") == 0)
        return 7;
    for (int i = 1; i < count; i++)
        printf("word %d: %s\\n", i, words[i]);
    puts("workload ready");
    fflush(stdout);
    for (;;)
        pause();
}
`;

/** A folder with a tiny workload, so that these tests do not depend on the real one. */
function folder(t: ExecutionContext): { workloadDir: string; cacheDir: string } {
  const path = mkdtempSync(join(tmpdir(), 'curling-image-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  writeFileSync(join(path, 'workload.c'), WORKLOAD);
  return { workloadDir: path, cacheDir: join(path, 'cache') };
}

async function createLab(t: ExecutionContext): Promise<Lab> {
  const lab = await Lab.create({ hosts: ['a'] });
  t.teardown(() => lab.destroy());
  return lab;
}

test('an image is built once and again when a source changed (needs QEMU and its tools)', async t => {
  const options = folder(t);
  const first = await buildImage(options);
  const builtMs = statSync(first.initrd).mtimeMs;
  t.deepEqual(await buildImage(options), first);
  t.is(statSync(first.initrd).mtimeMs, builtMs);
  writeFileSync(join(options.workloadDir, 'workload.c'), `${WORKLOAD}\n/* changed */\n`);
  const [second, third] = await Promise.all([buildImage(options), buildImage(options)]);
  t.not(second.initrd, first.initrd);
  t.deepEqual(third, second, 'two builders at once agree');
  await t.throwsAsync(buildImage({ ...options, workloadDir: '/var/empty' }), {
    code: 'CURLING_TOOL_MISSING',
  });
});

test('a real guest boots, gets its words and answers (needs root, QEMU)', async t => {
  const image = await buildImage(folder(t));
  const lab = await createLab(t);
  const host = lab.host('a');
  const guest = await startGuest(host, { image, workload: ['one=1:2', 'two'] });
  t.log(`boot ${Math.round(guest.bootMs)} ms`);
  t.regex(readFileSync(guest.serialPath, 'latin1'), /word 1: one=1:2\r\nword 2: two\r\n/);
  t.deepEqual(host.pids(), [guest.process.pid]);
  const answer = await lab.client.run(BUSYBOX, ['ping', '-c', '2', '-W', '5', '10.77.0.2']);
  t.regex(answer, /2 packets received/);
  t.true(statSync(guest.qmpPath).isSocket());
  t.is(lab.kill('a'), 1);
  // The next guest of the same host is judged by what it says itself, not by the log of the one before.
  const error = await t.throwsAsync(startGuest(host, { image, workload: ['end'] }), {
    code: 'CURLING_QEMU_START',
  });
  t.regex(error!.message, /the workload ended with status 7/);
});

test('a QEMU that does not start says why (needs root, QEMU)', async t => {
  const image = await buildImage(folder(t));
  const lab = await createLab(t);
  const broken = { ...image, kernel: '/nonexistent' };
  const error = await t.throwsAsync(startGuest(lab.host('a'), { image: broken }), {
    code: 'CURLING_QEMU_START',
  });
  t.regex(error!.message, /status 1[\s\S]*\/nonexistent/);
});

test('a RAM size that TCG would track wrongly, and words with commas, are refused (needs QEMU)', async t => {
  const image: GuestImage = { kernel: 'k', initrd: 'i', condWait: 'c' };
  const lab = await createLab(t);
  const host = lab.host('a');
  const usage = { code: 'CURLING_USAGE' };
  t.throws(() => guestArguments(host, { image, ramBytes: 128 << 20 }), usage);
  t.throws(() => guestArguments(host, { image, workload: ['a,b'] }), usage);
  t.deepEqual(guestArguments(host, { image }).slice(0, 3), [
    'env',
    'LD_PRELOAD=c',
    'qemu-system-x86_64',
  ]);
});
