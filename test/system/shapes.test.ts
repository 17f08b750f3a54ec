/**
 * Guests of other shapes than the usual one: machine types, processors, memory backends, cards. Of each, the shadow is the
 * guest's RAM byte for byte at checkpoints under load, and a standby runs it on, which can be protected again.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { queryRunning, untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { findKernel } from '../../lab/kernel.ts';
import { differentPages } from './guest-memory.ts';
import { Replica, type ReplicaOptions } from './replica.ts';

const CHECKPOINTS = 8;
/** Pages that the workload changes, behind a resume: more than a guest does that only ticks. */
const CHANGED_MIN = 200;
const HUGE_PAGES = '/proc/sys/vm/nr_hugepages';
/** 128 MiB of 2 MiB, and some that somebody else may have. */
const HUGE_PAGES_WANTED = 68;

interface Shape {
  options: ReplicaOptions;
  /** The name of the guest's main RAM block. */
  block: string;
  /** Why this machine cannot have it; undefined when it can. */
  unfit?: string | undefined;
  /** Sets up what it needs; returns how to undo it, or in a text why it cannot be now. */
  prepare?: () => (() => void) | string;
}

/** Huge pages for a while, in a folder where only QEMU will mount them. */
const hugeFolder = path.join(os.tmpdir(), `curling-huge-${process.pid}`);
function hugePages(): (() => void) | string {
  const before = fs.readFileSync(HUGE_PAGES, 'utf8');
  const restore = () => {
    fs.writeFileSync(HUGE_PAGES, before);
    fs.rmSync(hugeFolder, { recursive: true, force: true });
  };
  try {
    fs.mkdirSync(hugeFolder);
    fs.writeFileSync(HUGE_PAGES, String(Number(before) + HUGE_PAGES_WANTED));
    const given = Number(fs.readFileSync(HUGE_PAGES, 'utf8')) - Number(before);
    if (given >= HUGE_PAGES_WANTED) return restore;
    restore();
    return `the kernel gave ${given} of ${HUGE_PAGES_WANTED} huge pages`;
  } catch (error) {
    restore();
    return `no huge pages: ${error}`;
  }
}

function withoutHugePages(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  return fs.existsSync(HUGE_PAGES) ? undefined : 'needs huge pages';
}

function withoutGenericKernel(): string | undefined {
  try {
    findKernel('generic');
    return undefined;
  } catch {
    return 'needs the generic kernel: sh install/setup.sh --browser';
  }
}

const SHAPES: Record<string, Shape> = {
  'q35 with 2 processors and its memory in huge pages': {
    options: {
      machine: 'q35',
      cpus: 2,
      memory: { type: 'file', id: 'huge-0', path: hugeFolder, share: true },
      // In a mount namespace of its own, so that nothing stays mounted.
      under: ['unshare', '-m', 'sh', '-c', 'mount -t hugetlbfs none "$0" && exec "$@"', hugeFolder],
    },
    block: 'huge-0',
    unfit: withoutHugePages(),
    prepare: hugePages,
  },
  'microvm with 4 processors': {
    options: { machine: 'microvm', cpus: 4 },
    block: 'microvm.ram',
  },
  'pc with its memory in a shared memfd and an e1000': {
    options: { card: 'e1000', memory: { type: 'memfd', id: 'mem.1', share: true } },
    block: 'mem.1',
    unfit: withoutGenericKernel(),
  },
};

for (const [what, { options, block, unfit, prepare }] of Object.entries(SHAPES)) {
  const title = `${what}: exact under load, and runs on in a standby (needs qemu)`;
  const tried = unfit ? test.serial.skip : test.serial;
  tried(unfit ? `${title}: ${unfit}` : title, async t => {
    t.timeout(180_000);
    const undo = prepare?.();
    if (typeof undo === 'string') {
      t.log(`skipped: ${undo}`);
      return t.pass();
    }
    let made: Replica | undefined;
    t.teardown(async () => {
      await made?.remove();
      undo?.();
    });
    const replica = await Replica.start(
      it => {
        made = it;
      },
      { workload: ['dirty=2000:16'], ...options },
    );
    t.is(replica.block, block);
    const real = Buffer.alloc(replica.ramBytes);
    const shadow = Buffer.alloc(replica.ramBytes);
    for (let n = 0; n <= CHECKPOINTS; n++) {
      const epoch = n === 0 ? await replica.fullCopy() : await replica.checkpoint();
      replica.readRam(real);
      await replica.commit();
      const differ = differentPages(real, replica.readShadow(shadow));
      t.deepEqual(differ, [], `checkpoint ${epoch}`);
    }

    const { standby, protection } = await replica.failOver();
    const changed = async () =>
      differentPages(real, replica.readShadow(shadow), CHANGED_MIN).length >= CHANGED_MIN;
    await untilHolds(changed, 'the workload to go on', 20_000, 100);
    t.true(await queryRunning(standby.qmp));
    await protection.start();
    await protection.stop();
    t.true(replica.readShadow(shadow).equals(protection.mainImage));
    await protection.session.end();
    t.notRegex(replica.console, /panic|BUG:|Oops|init: the workload ended/);
  });
}
