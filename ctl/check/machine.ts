/** Whether this host can do its part for one machine, as it is configured. Pure. */
import { bytesText } from '../../common/quantities.ts';
import { type Finding, finding } from './finding.ts';

/** What came of an attempt: how it is, or why it failed. */
export type Outcome = { found: string; code?: undefined } | { found: string; code: string };

export interface MachineFacts {
  vm: string;
  /** Files of the command that cannot be read, the program among them. */
  filesMissing: readonly string[];
  files: number;
  /** The guest's memory; undefined when the command does not say. */
  memoryBytes: number | undefined;
  shadow: { dir: string; isMemory: boolean; freeBytes: number };
  /** Whether a coordinator answers, and the word for its state. */
  coordinator: Outcome;
  proxy: Outcome & { unit: string };
  /** Asked only while no coordinator has the monitor; undefined: not asked. */
  monitor: (Outcome & { path: string }) | undefined;
  /** Whether the guest at that monitor can be protected; undefined: there is none. */
  holdable: Outcome | undefined;
  peers: readonly (Outcome & { address: string; secure: boolean })[];
  witness: Outcome;
  /** What is configured as the witness's store. */
  store: string | undefined;
  /** What the register says; undefined: it could not be read. */
  register: { exists: boolean; found: string } | undefined;
}

/** Of the backup's store, besides the guest's memory: docs/operations.md. */
const CHECKPOINT_BYTES = 64 << 20;

export function judgeMachine(facts: MachineFacts): Finding[] {
  return [
    commandFinding(facts),
    ...shadowFindings(facts),
    ...guestFindings(facts),
    ...facts.peers.map(peerFinding),
    ...registerFindings(facts),
    ...daemonFindings(facts),
  ];
}

function commandFinding({ vm, files, filesMissing }: MachineFacts): Finding {
  const ok = filesMissing.length === 0;
  const found = ok
    ? `its program and ${files} files are there`
    : `no ${filesMissing.join(', no ')}`;
  return finding('must', `${vm}: command`, {
    ok,
    found,
    todo: 'a standby is started with this command: the same files belong on both hosts',
  });
}

function shadowFindings({ vm, memoryBytes, shadow }: MachineFacts): Finding[] {
  const { dir, isMemory, freeBytes } = shadow;
  const subject = `${vm}: copy`;
  const where = finding('should', subject, {
    ok: isMemory,
    found: isMemory ? `${dir} is in memory` : `${dir} is not on a memory file system`,
    todo: 'put --shadow-dir below /dev/shm: on a disk, checkpoints wait for it',
  });
  if (memoryBytes === undefined) return [where];
  const needed = memoryBytes + CHECKPOINT_BYTES;
  const room = `${bytesText(freeBytes)} for a copy, which takes ${bytesText(needed)}`;
  const todo = `to be its backup: mount -o remount,size=… ${isMemory ? '/dev/shm' : dir}, or free some`;
  return [where, finding('should', subject, { ok: freeBytes >= needed, found: room, todo })];
}

function guestFindings({ vm, monitor, holdable }: MachineFacts): Finding[] {
  const findings: Finding[] = [];
  if (monitor) {
    // It accepts, but does not greet: somebody is connected already.
    const taken = monitor.code === 'CURLING_TIMEOUT';
    findings.push(
      finding(taken ? 'should' : 'could', `${vm}: monitor`, {
        ok: monitor.code === undefined,
        found: taken ? `somebody else has ${monitor.path}` : monitor.found,
        todo: taken
          ? 'give the QEMU one more -qmp socket, for curling alone'
          : 'right where the guest does not run; else start its QEMU with this -qmp socket',
      }),
    );
  }
  if (holdable) {
    const { code, found } = holdable;
    const todo = 'change the guest, or see "What a guest must not have" in docs/operations.md';
    findings.push(finding('must', `${vm}: guest`, { ok: code === undefined, found, todo }));
  }
  return findings;
}

function peerFinding({ address, code, found, secure }: MachineFacts['peers'][number]): Finding {
  const refused = code !== undefined && code !== 'CURLING_CONNECT';
  return finding(refused ? 'must' : 'should', `peer ${address}`, {
    ok: code === undefined,
    found: code === undefined ? `answers${secure ? ', and proves itself' : ''}` : found,
    todo: refused
      ? 'give both hosts the same keys (curlingctl keygen) or the same --tls-ca'
      : 'start the coordinator there; look at the cable, the address and firewalls',
  });
}

function registerFindings({ vm, witness, store, register }: MachineFacts): Finding[] {
  const wrongStore = witness.code === 'CURLING_WITNESS_STORE';
  const findings = [
    finding('must', 'witness', {
      ok: witness.code === undefined,
      found: witness.found,
      todo: wrongStore
        ? 'docs/operations.md, "When something is lost": never take a new store for an old machine'
        : 'start it (curling-witness), and look at --witness, --keys and firewalls',
    }),
    finding('should', 'witness store', {
      ok: store !== undefined,
      found: store === undefined ? 'any store is believed' : `must be ${store}`,
      todo: 'set witness-store to what `curling-witness init` printed, or an empty store passes for the old one',
    }),
  ];
  if (!register) return findings;
  const todo = `where its guest runs, once: curling-coordinator create --vm ${vm}`;
  const { exists, found } = register;
  return [...findings, finding('could', `${vm}: register`, { ok: exists, found, todo })];
}

function daemonFindings({ vm, coordinator, proxy }: MachineFacts): Finding[] {
  return [
    finding('could', `${vm}: proxy`, {
      ok: proxy.code === undefined,
      found: proxy.found,
      todo: `start it: systemctl start ${proxy.unit}`,
    }),
    finding('could', `${vm}: coordinator`, {
      ok: coordinator.code === undefined,
      found: coordinator.found,
      todo: `start it: systemctl start curling-coordinator@${vm}`,
    }),
  ];
}
