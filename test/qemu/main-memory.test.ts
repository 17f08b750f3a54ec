/** The name of the main memory: as a real QEMU says it, and as a real standby then has it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { QemuChild } from '../../coordinator/qemu/child.ts';
import { queryMainMemory } from '../../coordinator/qemu/main-memory.ts';
import { queryRunning, untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';

const MIB = 8;
const QEMU = ['qemu-system-x86_64', '-nodefaults', '-display', 'none', '-accel', 'tcg'];

/** A folder, and how to start a QEMU in it that runs nothing. */
function bench(t: { teardown(undo: () => void): void }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-memory-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  const at = (name: string) => path.join(folder, name);
  const start = async (argv: readonly string[]): Promise<QmpClient> => {
    const monitor = ['-S', '-qmp', `unix:${at('qmp')},server=on,wait=off`];
    const child = new QemuChild([...argv, ...monitor], at('log'));
    t.teardown(() => child.kill());
    const up = async () => {
      if (child.exit) throw new Error(`${child.exit}: ${child.said()}`);
      return fs.existsSync(at('qmp'));
    };
    await untilHolds(up, 'a monitor', 20_000);
    const qmp = await QmpClient.connect(at('qmp'));
    t.teardown(() => qmp.close());
    return qmp;
  };
  return { at, start };
}

const FILE = `-object memory-backend-file,id=mem.0,size=${MIB}M,mem-path=PATH`;
const NAMES: [string, string, string][] = [
  ['-machine pc', 'pc.ram', ''],
  ['-machine q35', 'pc.ram', ''],
  ['-machine microvm', 'microvm.ram', ''],
  ['-machine q35,memory-backend=mem.0', 'mem.0', FILE],
  ['-machine pc-i440fx-3.1,memory-backend=mem.0', '/objects/mem.0', FILE],
  ['-machine pc-i440fx-3.1', 'pc.ram', ''],
];
for (const [machine, block, object] of NAMES) {
  test(`${machine}: the block ${block}, and the same in a standby (needs qemu)`, async t => {
    const { at, start } = bench(t);
    const words = `${machine} -m ${MIB} ${object}`.trim().split(' ');
    const argv = [...QEMU, ...words.map(word => word.replace('PATH', at('own')))];
    let primary: QmpClient;
    try {
      primary = await start(argv);
    } catch (error) {
      // QEMU drops machine types when they are six years old.
      if (!/unsupported machine type/.test(String(error))) throw error;
      t.log('this QEMU has no such machine any more');
      return t.pass();
    }
    const memory = await queryMainMemory(primary);
    t.deepEqual(memory, { block, bytes: MIB << 20 });
    // Whether a backend's property names the block is QEMU's affair: what its stream would say counts.
    t.true((await blocksOf(primary)).includes(block));
    const standby = await Standby.start({
      argv,
      memory: { mainBlock: block, ramBytes: memory.bytes, shadowPath: at('shadow') },
      qmpPath: at('standby'),
      incomingPath: at('incoming'),
      logPath: at('standby.log'),
    });
    t.teardown(() => standby.kill());
    t.deepEqual(await queryMainMemory(standby.qmp), memory);
    t.true((await blocksOf(standby.qmp)).includes(block));
    t.false(await queryRunning(standby.qmp));
  });
}

async function blocksOf(qmp: QmpClient): Promise<string[]> {
  const text = await qmp.execute('human-monitor-command', { 'command-line': 'info ramblock' });
  return String(text)
    .split('\n')
    .map(line => line.trim().split(/\s+/)[0]!);
}

test('memory of two NUMA backends is refused (needs qemu)', async t => {
  const { start } = bench(t);
  const nodes = ['m0', 'm1'].flatMap(id => [
    ...['-object', `memory-backend-ram,id=${id},size=${MIB / 2}M`],
    ...['-numa', `node,memdev=${id}`],
  ]);
  const qmp = await start([...QEMU, '-machine', 'pc', '-m', String(MIB), ...nodes]);
  const error = await t.throwsAsync(queryMainMemory(qmp), { instanceOf: CurlingError });
  t.is((error as CurlingError).code, 'CURLING_QEMU_MEMORY');
});
