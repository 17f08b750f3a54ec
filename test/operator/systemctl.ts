/**
 * As much of systemctl as the pages type, for machines without systemd: it reads the units that curling installs and runs
 * what they say, as they say it. Not a service manager: it restarts nothing and knows no dependencies.
 *
 *   systemctl [--now] enable|disable|start|stop|restart|reload|status|is-active|daemon-reload UNIT…
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const FOLDER = '/run/units';
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;

interface Unit {
  name: string;
  file: string;
  settings: Map<string, string>;
}

function unitOf(word: string): Unit {
  const name = word.replace(/\.service$/, '');
  const [template, instance = ''] = name.split('@');
  const kind = name.endsWith('.target') ? '' : '.service';
  const file = `${template}${name.includes('@') ? '@' : ''}${kind}`;
  const places = ['/etc/systemd/system', '/lib/systemd/system', '/usr/lib/systemd/system'];
  const found = places.map(place => path.join(place, file)).find(place => fs.existsSync(place));
  if (!found) throw new Error(`Unit ${name}.service not found.`);
  const lines = fs.readFileSync(found, 'utf8').replace(/\\\n/g, ' ').split('\n');
  const settings = new Map<string, string>();
  for (const line of lines) {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key) settings.set(key, value!.replaceAll('%i', instance).replaceAll('%I', instance));
  }
  return { name, file: found, settings };
}

const pidFile = (unit: Unit) => path.join(FOLDER, `${unit.name}.pid`);
const logFile = (unit: Unit) => path.join(FOLDER, `${unit.name}.log`);

function mainPid(unit: Unit): number | undefined {
  if (!fs.existsSync(pidFile(unit))) return undefined;
  const pid = Number(fs.readFileSync(pidFile(unit), 'utf8'));
  const stat = `/proc/${pid}/stat`;
  // A zombie has ended; nobody here waits for it.
  return fs.existsSync(stat) && !/\) Z /.test(fs.readFileSync(stat, 'utf8')) ? pid : undefined;
}

async function start(unit: Unit): Promise<void> {
  // A target runs nothing.
  if (mainPid(unit) !== undefined || !unit.settings.has('ExecStart')) return;
  fs.mkdirSync(FOLDER, { recursive: true });
  const folders = [
    ['/run', unit.settings.get('RuntimeDirectory'), unit.settings.get('RuntimeDirectoryMode')],
    ['/var/lib', unit.settings.get('StateDirectory'), unit.settings.get('StateDirectoryMode')],
  ] as const;
  for (const [below, names, mode] of folders)
    for (const name of names?.split(' ') ?? [])
      fs.mkdirSync(path.join(below, name), {
        recursive: true,
        mode: Number.parseInt(mode ?? '755', 8),
      });
  const [program, ...args] = unit.settings.get('ExecStart')!.split(/\s+/);
  const log = fs.openSync(logFile(unit), 'a');
  const from = fs.fstatSync(log).size;
  const child = spawn(program!, args, { detached: true, stdio: ['ignore', log, log] });
  fs.writeFileSync(pidFile(unit), String(child.pid));
  const deadline = performance.now() + READY_MS_MAX;
  const said = () => fs.readFileSync(logFile(unit), 'utf8').slice(from);
  while (!/"msg":"(serving|started[^"]*)"/.test(said())) {
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline)
      throw new Error(`Job for ${unit.name}.service failed.\n${said()}`);
    await sleep(20);
  }
  child.unref();
}

async function stop(unit: Unit): Promise<void> {
  const pid = mainPid(unit);
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + STOP_MS_MAX;
  while (mainPid(unit) !== undefined) {
    if (performance.now() > deadline) throw new Error(`${unit.name}.service does not stop`);
    await sleep(20);
  }
}

/** What a unit that is enabled leaves behind: a link below each who wants it. */
function link({ name, file, settings }: Unit, enabled: boolean): void {
  const own = path.extname(file) === path.extname(name) ? name : `${name}.service`;
  for (const wanter of settings.get('WantedBy')!.split(' ')) {
    const folder = `/etc/systemd/system/${wanter}.wants`;
    fs.rmSync(path.join(folder, own), { force: true });
    if (enabled) {
      fs.mkdirSync(folder, { recursive: true });
      fs.symlinkSync(file, path.join(folder, own));
    } else if (fs.existsSync(folder) && fs.readdirSync(folder).length === 0) fs.rmdirSync(folder);
  }
}

async function act(verb: string, unit: Unit, now: boolean): Promise<number> {
  const pid = mainPid(unit);
  if (verb === 'enable' || verb === 'disable') link(unit, verb === 'enable');
  if (verb === 'start' || (verb === 'enable' && now)) await start(unit);
  if (verb === 'stop' || (verb === 'disable' && now)) await stop(unit);
  if (verb === 'restart') {
    await stop(unit);
    await start(unit);
  }
  if (verb === 'reload' && pid !== undefined) process.kill(pid, 'SIGHUP');
  if (verb !== 'status' && verb !== 'is-active') return 0;
  process.stdout.write(verb === 'status' ? `${unit.name}.service: ` : '');
  process.stdout.write(pid === undefined ? 'inactive\n' : 'active\n');
  return pid === undefined ? 3 : 0;
}

const words = process.argv.slice(2);
const flags = words.filter(word => word.startsWith('--'));
const [verb = '', ...names] = words.filter(word => !word.startsWith('--'));
const VERBS = 'enable disable start stop restart reload status is-active daemon-reload'.split(' ');
if (!VERBS.includes(verb)) throw new Error(`Unknown command verb ${verb}.`);
try {
  for (const name of verb === 'daemon-reload' ? [] : names) {
    const status = await act(verb, unitOf(name), flags.includes('--now'));
    if (status !== 0) process.exitCode = status;
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
