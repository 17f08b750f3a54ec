/** Asks a QEMU for qemu.ts: one that is started for that alone, without a guest, and ends at once. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { toolEnvironment } from '../../common/run.ts';
import { queryCapabilities, queryList, queryObject } from '../../coordinator/qemu/qmp-queries.ts';
import type { QemuFacts } from './qemu.ts';

export const DEFAULT_QEMU = 'qemu-system-x86_64';
/** It takes 0.2 s on an idle host. */
const START_MS = 5_000;
const POLL_MS = 20;
/** SeaBIOS says its name first of all, well within a second. */
const FIRMWARE_MS = 5_000;
const SAID_BYTES_MAX = 2_000;

/** @param isEmulated Whether all its guests are to run under emulation. */
export async function probeQemu(program: string, isEmulated: boolean): Promise<QemuFacts> {
  const facts: QemuFacts = {
    program,
    error: undefined,
    version: undefined,
    coloMissing: [],
    kvmError: undefined,
    isEmulated,
  };
  try {
    await withQemu(program, ['-machine', 'none'], async qmp => {
      facts.version = await versionOf(qmp);
      facts.coloMissing = await missingOf(qmp);
    });
  } catch (error) {
    return { ...facts, error: messageOf(error) };
  }
  facts.kvmError = await kvmError(program);
  return facts;
}

async function versionOf(qmp: QmpClient): Promise<string> {
  const { qemu } = await queryObject(qmp, 'query-version');
  const { major, minor, micro } = isObject(qemu) ? qemu : {};
  return `${major}.${minor}.${micro}`;
}

async function missingOf(qmp: QmpClient): Promise<string[]> {
  const capabilities = await queryCapabilities(qmp);
  const commands = await queryList(qmp, 'query-commands');
  const known = new Set([...capabilities, ...commands.map(({ name }) => String(name))]);
  return ['x-colo', 'x-colo-lost-heartbeat'].filter(name => !known.has(name));
}

/** Lets a guest without memory to speak of run its firmware: /dev/kvm can be there and not work. */
async function kvmError(program: string): Promise<string | undefined> {
  if (!fs.existsSync('/dev/kvm')) return 'there is no /dev/kvm';
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-check-'));
  const said = path.join(folder, 'firmware');
  const words = `-machine pc -accel kvm -m 16 -chardev file,id=said,path=${said} -device isa-debugcon,iobase=0x402,chardev=said`;
  try {
    return await withQemu(program, words.split(' '), async () => {
      for (const end = performance.now() + FIRMWARE_MS; performance.now() < end; ) {
        if (fs.existsSync(said) && fs.statSync(said).size > 0) return undefined;
        await sleep(POLL_MS);
      }
      return '/dev/kvm is there, but no guest runs: its firmware says nothing';
    });
  } catch (error) {
    return messageOf(error);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws Error with QEMU's words when it does not start. */
async function withQemu<Result>(
  program: string,
  words: readonly string[],
  work: (qmp: QmpClient) => Promise<Result>,
): Promise<Result> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-check-'));
  const socket = path.join(folder, 'qmp');
  const monitor = ['-qmp', `unix:${socket},server=on,wait=off`];
  const child = spawn(program, [...words, '-nodefaults', '-display', 'none', ...monitor], {
    env: toolEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_BYTES_MAX);
  });
  let ended: string | undefined;
  const closed = new Promise<void>(resolve => {
    child.once('error', error => {
      ended = error.message;
      resolve();
    });
    child.once('close', status => {
      ended ??= said.trim().split('\n').at(-1) || `ended with status ${status}`;
      resolve();
    });
  });
  try {
    for (const end = performance.now() + START_MS; !fs.existsSync(socket); await sleep(POLL_MS)) {
      if (ended !== undefined) throw new Error(ended);
      if (performance.now() > end) throw new Error(`no monitor within ${START_MS / 1000} s`);
    }
    const qmp = await QmpClient.connect(socket);
    try {
      return await work(qmp);
    } finally {
      qmp.close();
    }
  } finally {
    if (ended === undefined) child.kill('SIGKILL');
    await closed;
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
