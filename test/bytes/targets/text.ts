/** Lines, and the files that are text: the witness's journal and a coordinator's identity. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { LineSplitter, LineTooLong } from '../../../common/qmp/lines.ts';
import type { Entry } from '../../../coordinator/arbitration/register-entry.ts';
import { decodeManifest, encodeManifest } from '../../../coordinator/checkpoint/manifest.ts';
import type { Identity } from '../../../coordinator/identity.ts';
import { decodeIdentity, encodeIdentity } from '../../../coordinator/identity-json.ts';
import { entryLine, headerLine, readJournal } from '../../../witness/journal.ts';
import { LAYOUT } from '../../replication/world.ts';
import { A, B, turn } from '../../witness/support.ts';
import { codeOf, must, piecesOf, type Target } from '../target.ts';

const LINE_BYTES_MAX = 64;

export const LINES: Target = {
  name: 'lines',
  seeds: ['{"a":1}\n\n{"b":"ä€"}\r\n', 'x'.repeat(64), `${'y'.repeat(64)}\n`, ' \n\t\n'].map(text =>
    Buffer.from(text),
  ),
  words: [Buffer.from('\n'), Buffer.from('\r\n'), Buffer.alloc(63, 'z')],
  allocatedMax: bytes => bytes + 4096,
  run(attempt) {
    const splitter = new LineSplitter(LINE_BYTES_MAX);
    const said: string[] = [];
    try {
      for (const piece of piecesOf(attempt))
        for (const line of splitter.push(piece)) said.push(line);
    } catch (error) {
      if (!(error instanceof LineTooLong)) throw error;
      said.push('too long');
    }
    for (const line of said) must(!line.includes('\n'), 'a line has no end in it');
    return said.join('\n');
  },
};

const STORE = 'ab'.repeat(16);

/** The registers of a short history, and the file's text after each. */
function history(): { text: string; states: Map<string, Entry>[] } {
  const header = headerLine(STORE);
  const [pair] = turn(1);
  const base = { store: STORE, vm: 'vm', primary: A } as const;
  const entries: Entry[] = [
    { ...base, generation: 1, mode: 'SOLO', backup: null },
    { ...base, generation: 2, mode: 'PAIR', backup: pair.backup! },
    { ...base, vm: 'other', generation: 7, mode: 'SOLO', backup: null },
    { store: STORE, vm: 'vm', generation: 3, mode: 'FORGOTTEN' },
    { ...base, generation: 4, mode: 'PAIR', backup: B },
  ];
  let { text, sum } = header;
  const vms = new Map<string, Entry>();
  const states = [new Map(vms)];
  for (const entry of entries) {
    const line = entryLine(sum, entry);
    text += line.text;
    sum = line.sum;
    vms.set(entry.vm, entry);
    states.push(new Map(vms));
  }
  return { text, states };
}

const HISTORY = history();

export const JOURNAL: Target = {
  name: "the witness's journal",
  seeds: [Buffer.from(HISTORY.text), Buffer.from(headerLine(STORE).text)],
  words: ['\n', '"generation":', '"mode":"FORGOTTEN"', '"backup":null', '{"sum":"', '[[[['].map(
    text => Buffer.from(text),
  ),
  allocatedMax: bytes => 16 * bytes + (64 << 10),
  mend: mendJournal,
  run({ input, mended }) {
    try {
      const journal = readJournal(input, 'store');
      must(journal.bytes <= input.length, 'no more is good than there is');
      if (!mended) {
        const known = HISTORY.states.some(state => same(journal.vms, state));
        must(known, 'what is accepted is what once was true');
      }
      for (const entry of journal.vms.values()) must(entry.store === journal.store, 'of one store');
      return `${journal.entries} entries, ${journal.vms.size} VMs`;
    } catch (error) {
      const code = codeOf(error);
      must(/^CURLING_WITNESS_(STORE|EMPTY)$/.test(code), `${code} is not of a store`);
      return code;
    }
  },
};

function same(one: unknown, other: unknown): boolean {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
}

/** Sets every line's sum right. */
export function mendJournal(input: Buffer): Buffer {
  let sum = '';
  const lines = input.toString('latin1').split('\n');
  const mended = lines.map(line => {
    const entry = /^\{"sum":"[^"]*","entry":(.*)\}$/s.exec(line)?.[1];
    if (entry === undefined) return line;
    const hash = createHash('sha256').update(sum);
    sum = hash.update(Buffer.from(entry, 'latin1').toString('utf8')).digest('hex').slice(0, 16);
    return `{"sum":"${sum}","entry":${entry}}`;
  });
  return Buffer.from(mended.join('\n'), 'latin1');
}

const IDENTITY: Identity = {
  incarnation: 'a1'.repeat(16),
  bootId: '11111111-2222-3333-4444-555555555555',
  guest: { qmpPath: '/run/curling/web/standby.qmp', socket: '1234 1795459811000.5' },
  standbyPid: 4321,
  unresolvedPair: { request: turn(1)[0], snapshot: 17 },
};

export const IDENTITY_FILE: Target = {
  name: 'the identity file',
  seeds: [IDENTITY, { ...IDENTITY, guest: null, standbyPid: null, unresolvedPair: null }].map(
    identity => Buffer.from(encodeIdentity(identity)),
  ),
  words: ['null', '"standbyPid":1', '{"sum":"', '[[[['].map(text => Buffer.from(text)),
  allocatedMax: bytes => 16 * bytes + (64 << 10),
  run({ input }) {
    const text = input.toString('utf8');
    let identity: Identity;
    try {
      identity = decodeIdentity(text);
    } catch (error) {
      return refusedFile(error);
    }
    must(encodeIdentity(identity) === text, 'what is read is written again the same');
    must(
      IDENTITY_FILE.seeds.some(seed => seed.equals(input)),
      'a changed identity is never accepted',
    );
    return 'accepted';
  },
};

const MANIFEST = encodeManifest({
  vm: 'vm1',
  bootId: IDENTITY.bootId,
  generation: 3,
  sender: 'a1'.repeat(16),
  receiver: 'b2'.repeat(16),
  fullEpoch: 5,
  layout: LAYOUT,
});

export const MANIFEST_FILE: Target = {
  name: "the store's manifest",
  seeds: [MANIFEST],
  words: ['\n', '{"format":', '[[[[', '1e400'].map(text => Buffer.from(text)),
  allocatedMax: bytes => 16 * bytes + (64 << 10),
  run({ input }) {
    const text = input.toString('utf8');
    try {
      const again = encodeManifest(decodeManifest(text));
      must(again.equals(MANIFEST), 'a changed manifest is never accepted');
      return 'accepted';
    } catch (error) {
      return refusedFile(error);
    }
  },
};

/** These two say no by any error but that of a defect: their readers take it as "there is none". */
function refusedFile(error: unknown): string {
  const plain = error instanceof Error && !/TypeError|RangeError|Assert/.test(error.name);
  must(plain && !error.message.startsWith('must hold'), `refused by ${error}`);
  return 'refused';
}
