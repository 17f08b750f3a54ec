/** The units as files: what systemd thinks of them, and whether they agree with the programs and with the docs. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { EXIT } from '../../common/errors.ts';
import { DAEMONS } from '../../config/schema.ts';
import { END_MS_MAX } from '../../coordinator/hooks/hooks.ts';
import { section, tableRows } from '../docs/markdown.ts';
import { bounded, FOLDER, needed, SERVICES, type ServiceFile, settingsOf } from './units.ts';

const COORDINATORS = ['curling-coordinator@.service', 'curling-coordinator.service'] as const;
const files = Object.keys(SERVICES) as ServiceFile[];
const version = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
const present = version.status === 0;
const analysed = present ? test : test.skip;
const where = present ? 'systemd-analyze' : 'left out: systemd is not installed';
// Other versions judge in other ways; the docs have the scores of this one.
const judged = present && version.stdout.startsWith('systemd 252 ');
const scored = judged ? test : test.skip;
const operations = fs.readFileSync('docs/operations.md', 'utf8');

/** A root with the units, their programs, and nothing else. */
function root(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-units-'));
  const put = (file: string, text: string, mode: number) => {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text, { mode });
  };
  for (const file of fs.readdirSync(FOLDER))
    put(`lib/systemd/system/${file}`, fs.readFileSync(`${FOLDER}/${file}`, 'utf8'), 0o644);
  // The targets that every unit needs.
  for (const target of ['sysinit', 'basic', 'shutdown', 'multi-user', 'network', 'network-online'])
    put(`lib/systemd/system/${target}.target`, `[Unit]\nDescription=${target}\n`, 0o644);
  const programs = Object.values(SERVICES).map(name => `usr/sbin/curling-${name}`);
  for (const program of [...programs, 'bin/kill']) put(program, '#!/bin/sh\n', 0o755);
  return folder;
}

/** Lets systemd look at the units below a root. */
function verify(folder: string): { status: number | null; said: string } {
  const units = ['curling-proxy@tap0.service', 'curling-coordinator@web.service'];
  const args = [`--root=${folder}`, '--man=no', 'verify', ...units];
  const all = [...args, 'curling-coordinator.service', 'curling-witness.service', 'curling.target'];
  const { status, stdout, stderr } = spawnSync('systemd-analyze', all, { encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

analysed(`systemd has nothing to say against a unit (${where})`, t => {
  const folder = root();
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  t.deepEqual(verify(folder), { status: 0, said: '' });
  const witness = path.join(folder, 'lib/systemd/system/curling-witness.service');
  fs.appendFileSync(witness, '[Service]\nProtectAll=yes\n');
  t.regex(verify(folder).said, /ProtectAll/, 'a wrong setting would be seen');
});

/** Whether a unit's exposure, ten times its score, is at most this. */
function atMost(file: string, tenths: number): boolean {
  const options = ['--offline=true', '--no-pager', `--threshold=${tenths}`];
  const args = ['security', ...options, `./${FOLDER}/${file}`];
  return spawnSync('systemd-analyze', args).status === 0;
}

for (const file of files) {
  const name = file.replace('.service', '');
  const by = judged ? 'systemd 252' : 'left out: this is not systemd 252';
  scored(`${name} is no more exposed than docs/operations.md says (${by})`, t => {
    const rows = tableRows(section(operations, '## Under systemd'));
    const row = rows.find(([unit, score]) => unit!.includes(name) && /^\d\.\d$/.test(score!));
    const tenths = Math.round(Number(row?.[1]) * 10);
    t.true(atMost(file, tenths), `documented: ${row?.[1]}`);
    t.false(atMost(file, tenths - 1), 'the docs have its very score');
  });

  test(`${name} is started with options that it has, and left what it needs`, t => {
    const settings = settingsOf(file);
    const spec = DAEMONS[SERVICES[file]];
    const [program, ...words] = settings.get('ExecStart')![0]!.split(' ');
    t.is(program, `/usr/sbin/${spec.program}`);
    for (const option of words.filter(word => word.startsWith('--')))
      t.true(Object.hasOwn(spec.options, option.slice(2)), option);
    t.deepEqual(bounded(file), needed(SERVICES[file]));
    t.false(settings.has('MemoryDenyWriteExecute'), 'V8 could not compile');
    t.deepEqual(settings.get('Type'), ['notify']);
    const { usage, configuration } = EXIT;
    t.deepEqual(settings.get('RestartPreventExitStatus'), [`${usage} ${configuration}`]);
  });
}

test('a coordinator that lets its hooks finish is not killed meanwhile', t => {
  for (const file of COORDINATORS) {
    const [stopS] = settingsOf(file).get('TimeoutStopSec')!;
    t.true(END_MS_MAX + 5_000 <= Number(stopS) * 1_000);
  }
});

test('a run directory stays when its unit ends, and so does a guest', t => {
  const settings = (file: ServiceFile, name: string) => settingsOf(file).get(name)?.join(' ');
  for (const file of ['curling-proxy@.service', ...COORDINATORS] as const) {
    t.regex(settings(file, 'RuntimeDirectory')!, /^curling\b/);
    t.is(settings(file, 'RuntimeDirectoryPreserve'), 'yes');
  }
  for (const file of COORDINATORS) {
    t.is(settings(file, 'KillMode'), 'process');
    t.is(settings(file, 'OOMScoreAdjust'), undefined);
  }
});
