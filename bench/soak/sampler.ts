/**
 * Looks once a second at every process of a deployment: memory, open files, shared memory; and at the running protection.
 * A process that was started anew, or whose host has another role than before, is a new one.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import type { Deployment } from '../../lab/deployment.ts';
import { type Part, partPids } from '../../lab/parts.ts';
import { entriesOf, procText } from '../../lab/processes.ts';
import { Series } from './series.ts';

const PARTS: readonly Part[] = ['coordinator', 'proxy', 'qemu'];
const PAGE_KIB = 4;
const BLOCK_BYTES = 512;
/** Processes that are remembered; with faults many come and go. */
const PROCESSES_MAX = 256;

export interface ProcessSeries {
  /** `a coordinator 4711 primary` */
  name: string;
  part: Part | 'witness';
  rssMib: Series;
  fds: Series;
}

/** Of the protection, or of the machine. */
export const QUANTITIES = [
  'pauseP50Ms',
  'commitP50Ms',
  'echoP50Ms',
  'heldFrames',
  'shmMib',
] as const;
export type Quantity = (typeof QUANTITIES)[number];

export class Sampler {
  readonly processes = new Map<string, ProcessSeries>();
  readonly quantities: Record<Quantity, Series>;
  /** Of this program, which must not grow either. */
  readonly ownRssMib = new Series();
  readonly #deployment: Deployment;

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
    const entries = QUANTITIES.map(name => [name, new Series()] as const);
    this.quantities = Object.fromEntries(entries) as Record<Quantity, Series>;
  }

  /** Takes one sample of everything; the statuses are those of the hosts that answer. */
  sample(atS: number, statuses: readonly CoordinatorStatus[], echoP50Ms: number | undefined): void {
    const { lab } = this.#deployment;
    for (const host of lab.hosts)
      for (const part of PARTS)
        for (const pid of partPids(host, part)) {
          const role = statuses.find(status => status.host === host.name)?.role;
          if (role) this.#process(atS, `${host.name} ${part} ${pid} ${role}`, part, pid);
        }
    for (const pid of partPids(lab.witness, 'witness'))
      this.#process(atS, `witness ${pid}`, 'witness', pid);
    this.ownRssMib.add(atS, process.memoryUsage.rss() / (1 << 20));
    const { quantities } = this;
    quantities.shmMib.add(atS, shmBytes(lab.hosts.map(host => host.shmDir)) / (1 << 20));
    if (echoP50Ms !== undefined) quantities.echoP50Ms.add(atS, echoP50Ms);
    const status = statuses.find(candidate => candidate.protected);
    if (!status) return;
    quantities.pauseP50Ms.add(atS, status.checkpoint.pauseMs.p50);
    quantities.commitP50Ms.add(atS, status.checkpoint.commitMs.p50);
    quantities.heldFrames.add(atS, status.proxy.heldFrames);
  }

  #process(atS: number, name: string, part: Part | 'witness', pid: number): void {
    let series = this.processes.get(name);
    if (!series) {
      if (this.processes.size >= PROCESSES_MAX) return;
      series = { name, part, rssMib: new Series(), fds: new Series() };
      this.processes.set(name, series);
    }
    const pages = Number(procText(pid, 'statm').split(' ')[1] ?? Number.NaN);
    if (!Number.isFinite(pages)) return; // it ended meanwhile
    series.rssMib.add(atS, (pages * PAGE_KIB) / 1024);
    series.fds.add(atS, entriesOf(`/proc/${pid}/fd`).length);
  }
}

/** Bytes that the files below these directories take. */
function shmBytes(directories: readonly string[]): number {
  let bytes = 0;
  for (const directory of directories)
    for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' }))
      bytes +=
        (statSync(join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES;
  return bytes;
}
