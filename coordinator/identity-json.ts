/**
 * The identity file's content: one JSON object whose last member `sum` is the xxh64 of the object without it, 16 hex
 * digits. Pure. What was damaged is not read: who it names, which process it has ended and what it believes to have
 * asked for would be somebody else's.
 */
import { isObject } from '../common/qmp/messages.ts';
import { parseGeneration, parseIdentity, parseSwapRequest } from './arbitration/register-json.ts';
import type { Identity } from './identity.ts';
import { digestOf } from './replication/digest.ts';

const BOOT_ID_CHARS_MAX = 64;
/** All but the closing brace, and the sum. */
const WHOLE = /^(\{.*),"sum":"([0-9a-f]{16})"\}$/s;

export function encodeIdentity(identity: Identity): string {
  const json = JSON.stringify(identity);
  return `${json.slice(0, -1)},"sum":"${sumOf(json)}"}`;
}

/**
 * The identity in a file's content.
 * @throws Error, whatever is wrong: it is torn, damaged or another program's.
 */
export function decodeIdentity(text: string): Identity {
  const [, members, sum] = WHOLE.exec(text) ?? [];
  const json = `${members}}`;
  if (sum !== sumOf(json)) throw new Error('the identity is damaged');
  const value: unknown = JSON.parse(json);
  if (!isObject(value)) throw new Error('the identity is no object');
  const { bootId, standbyPid } = value;
  if (typeof bootId !== 'string' || bootId.length > BOOT_ID_CHARS_MAX) throw new Error('bootId');
  return {
    incarnation: parseIdentity('incarnation', value.incarnation),
    bootId,
    guest: guestOf(value.guest),
    standbyPid: standbyPid === null ? null : parseGeneration('standbyPid', standbyPid, 2),
    unresolvedPair: pairOf(value.unresolvedPair),
  };
}

function sumOf(json: string): string {
  return digestOf(Buffer.from(json)).toString(16).padStart(16, '0');
}

function guestOf(value: unknown): Identity['guest'] {
  if (value === null) return null;
  const { qmpPath, socket } = isObject(value) ? value : {};
  if (typeof qmpPath !== 'string' || typeof socket !== 'string') throw new Error('guest');
  return { qmpPath, socket };
}

function pairOf(value: unknown): Identity['unresolvedPair'] {
  if (value === null) return null;
  if (!isObject(value) || !isObject(value.request)) throw new Error('unresolvedPair');
  const request = parseSwapRequest(value.request);
  return { request, snapshot: parseGeneration('snapshot', value.snapshot, 0) };
}
