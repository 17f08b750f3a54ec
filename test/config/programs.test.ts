import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

const PROGRAMS = ['proxy', 'coordinator', 'witness'] as const;

/** Runs a daemon with files that say what all of them need. */
async function runWith(text: string, program: string, ...flags: string[]) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-config-'));
  fs.mkdirSync(path.join(folder, 'vm'));
  fs.writeFileSync(path.join(folder, 'vm/web.toml'), text);
  const main = fileURLToPath(new URL(`../../${program}/main.js`, import.meta.url));
  const which = { proxy: ['--tap', 'tap0'], coordinator: ['--vm', 'web'] } as Record<
    string,
    string[]
  >;
  const own = which[program] ?? ['--listen', '127.0.0.1:7700', '--store', `${folder}/none`];
  const args = [main, ...own, '--config', folder, ...flags];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return { status: 0, stdout, stderr: '' };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const RIGHT = `tap = "tap0"\nlisten = "127.0.0.1:1"\nwitness = "127.0.0.1:2"\ncommand = ["q"]\n`;

for (const program of PROGRAMS) {
  test(`curling-${program} looks at its configuration without starting anything`, async t => {
    const right = await runWith(RIGHT, program, '--check-config');
    t.deepEqual(right, { status: 0, stdout: 'the configuration is right\n', stderr: '' });
    const wrong = await runWith(`${RIGHT}lissten = "x"\n`, program, '--check-config');
    t.is(wrong.status, 3);
    t.regex(
      wrong.stderr,
      /^curling-\w+: CURLING_CONFIG: .*web\.toml:5: .*did you mean listen\?\n$/,
    );
    const dump = await runWith(RIGHT, program, '--dump-config');
    t.is(dump.status, 0, dump.stderr);
    t.regex(dump.stdout, /^http = "127\.0\.0\.1:771\d" +# default$/m);
  });
}
