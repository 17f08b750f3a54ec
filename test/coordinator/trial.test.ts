/** The trial load without QEMU: who is refused after a failure and for how long, and how a trial ends early. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { silentLogger } from '../../common/log.ts';
import type { CoordinatorConfig } from '../../coordinator/config.ts';
import { IdentityFile } from '../../coordinator/identity.ts';
import type { StandbyWord } from '../../coordinator/replication/types.ts';
import { StandbyKeeper } from '../../coordinator/standby-keeper.ts';
import { Trial, type TrialPlace } from '../../coordinator/trial.ts';
import { STANDBY_COMMAND, until } from './bench.ts';
import { FAKE_COMMITTED, FAKE_RAM_BYTES } from './fake-guest.ts';

/** A trial at a place that fails while it is told to, and its clock. */
function trial() {
  const place = { error: undefined as Error | undefined, tries: 0 };
  const clock = { nowMs: 0, now: () => clock.nowMs };
  const tryLoad: TrialPlace['tryLoad'] = async () => {
    place.tries++;
    clock.nowMs += 25;
    if (place.error) throw place.error;
  };
  return { place, clock, trial: new Trial(clock, { tryLoad }) };
}

test('a copy that loads is measured, and refuses nobody', async t => {
  const { trial: it } = trial();
  t.is(it.lastMs, null);
  await it.run(FAKE_COMMITTED, 'p1', () => true);
  t.is(it.lastMs, 25);
  t.is(it.failure, undefined);
  t.notThrows(() => it.admit('p1'));
});

test('a copy that fails keeps its primary away, for ever longer and within a bound', async t => {
  const { trial: it, place, clock } = trial();
  place.error = new CurlingError(
    'CURLING_QEMU_RESUME',
    `first words ${'.'.repeat(2_000)} last words`,
  );
  const refusal = { code: 'CURLING_QEMU_RESUME', message: /first words.* … .*last words/ } as const;
  const rests: number[] = [];
  for (let n = 0; n < 8; n++) {
    const error = await t.throwsAsync(
      it.run(FAKE_COMMITTED, 'p1', () => true),
      refusal,
    );
    t.true(error!.message.length < 1_000, 'the other host is told all of it');
    const failedAtMs = clock.nowMs;
    t.throws(() => it.admit('p1'), { ...refusal, message: /last words \(tried again after \d\d:/ });
    t.notThrows(() => it.admit('p2'), 'another primary, or another life of it');
    while (isRefused(it, 'p1')) clock.nowMs += 1_000;
    rests.push(clock.nowMs - failedAtMs);
  }
  t.deepEqual(
    rests,
    [10, 20, 40, 80, 160, 300, 300, 300].map(s => s * 1_000),
  );
  place.error = undefined;
  await it.run(FAKE_COMMITTED, 'p1', () => true);
  t.notThrows(() => it.admit('p1'));
});

function isRefused(it: Trial, sender: string): boolean {
  try {
    it.admit(sender);
    return false;
  } catch {
    return true;
  }
}

test('a trial that nobody waits for any more is no failure', async t => {
  const { trial: it, place } = trial();
  place.error = new Error('it was killed');
  await t.throwsAsync(
    it.run(FAKE_COMMITTED, 'p1', () => false),
    { code: 'CURLING_QEMU_RESUME' },
  );
  t.is(it.failure, undefined);
  t.notThrows(() => it.admit('p1'));
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A keeper of its own, ended with the test, and what it tells. */
function keeperOf(t: ExecutionContext) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-standby-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  const identity = new IdentityFile(folder);
  const command = [...STANDBY_COMMAND];
  const config = { runDir: folder, standbyCommand: command } as unknown as CoordinatorConfig;
  const words: StandbyWord[] = [];
  const standby = (word: StandbyWord) => words.push(word);
  const keeper = new StandbyKeeper({ config, identity, log: silentLogger, standby });
  t.teardown(() => keeper.end());
  const shadowPath = path.join(folder, 's');
  const memory = { mainBlock: 'pc.ram', ramBytes: FAKE_RAM_BYTES, shadowPath };
  return { keeper, identity, memory, words, command };
}

test('the end of the standby ends a trial under way; no process stays', async t => {
  const { keeper, identity, memory } = keeperOf(t);
  const spare = await keeper.spare(memory);
  t.is(await keeper.spare(), spare, 'one spare is enough');
  t.is(identity.current.standbyPid, spare.pid!, 'whoever starts after this process finds it');
  const words = fs.readFileSync(`/proc/${spare.pid}/cmdline`, 'utf8').split('\0');
  t.true(words.includes('-S'));
  t.true(words.some(word => /share=off$/.test(word)));

  const tried = t.throwsAsync(keeper.tryLoad([Buffer.from('x')]), { code: 'CURLING_QEMU_RESUME' });
  await new Promise(setImmediate);
  await keeper.end();
  await tried;
  t.false(keeper.hopeful);
  t.is(identity.current.standbyPid, null);
  await until('its end', () => !alive(spare.pid!));

  const again = await keeper.spare(memory);
  const standby = await keeper.ready();
  t.false(alive(again.pid!), 'the standby takes the place of the spare');
  t.is(identity.current.standbyPid, standby.pid!);
  t.false(fs.readFileSync(`/proc/${standby.pid}/cmdline`, 'utf8').includes('share=off'));
});

test('a standby that dies is replaced, and after the fourth time none is; both are told', async t => {
  const { keeper, memory, words } = keeperOf(t);
  const first = await keeper.ready(memory);
  let pid = first.pid!;
  for (let deaths = 1; deaths <= 4; deaths++) {
    process.kill(pid, 'SIGKILL');
    await until('its death is told', () => words.filter(word => !word.up).length === deaths);
    t.is(keeper.up, false);
    if (deaths === 4) break;
    await until('another one is told', () => words.at(-1)!.up);
    t.is(keeper.lost, null);
    pid = (await keeper.ready()).pid!;
  }
  t.deepEqual(words.map(word => word.up).join(), 'false,true,false,true,false,true,false');
  t.regex(words[1]!.reason, /^another one is up; the standby QEMU ended: .*SIGKILL/);
  t.regex(keeper.lost!, /ended: .*; that was number 4 on this copy, and no other one is started/);
  t.false(keeper.hopeful);
  await keeper.end();
  t.is(keeper.lost, null, 'none is wanted any more');
  t.is(words.length, 7, 'what is ended on purpose has not died');
});

test('a standby that cannot be started again is tried again', async t => {
  const { keeper, memory, words, command } = keeperOf(t);
  const first = await keeper.ready(memory);
  command.splice(0, Infinity, '/nonexistent/qemu');
  process.kill(first.pid!, 'SIGKILL');
  await until('it cannot be started', () => /ENOENT/.test(words.at(-1)?.reason ?? ''));
  command.splice(0, Infinity, ...STANDBY_COMMAND);
  await until('it can', () => words.at(-1)!.up);
  t.true(keeper.up);
});
