/**
 * Transactions of etcd's v3 JSON gateway (`POST /v3/kv/txn`) as text, and its answers read back.
 * Keys and values are base64, 64-bit numbers are strings, and members that are empty are left out;
 * see https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ and rpc.proto beside it. Pure.
 */
import { CurlingError, messageOf } from '../../common/errors.ts';
import { isObject, type JsonObject } from '../../common/qmp/messages.ts';
import { shown } from '../../common/shown.ts';
import { type Entry, parseEntry } from './register-entry.ts';

/** Holds the store's id. */
export const STORE_KEY = 'curling/store';
/** Values are about 500 bytes; two of them and what etcd says around them come in one answer. */
export const ANSWER_BYTES_MAX = 64 << 10;

const REVISION = /^\d{1,19}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The key of a VM's register. `vm` is a name as register-json.ts checks it. */
export function vmKey(vm: string): string {
  return `curling/vm/${vm}`;
}

/** A condition: the key has this value, or was last written at this revision ('0': absent). */
export type Condition =
  | { readonly key: string; readonly value: string }
  | { readonly key: string; readonly revision: string };

/**
 * Reads `ranges` at one moment. With `put`: writes it if all conditions hold, else reads `ranges`.
 */
export interface Transaction {
  readonly ranges: readonly string[];
  readonly conditions?: readonly Condition[];
  readonly put?: { readonly key: string; readonly value: string };
}

/** A key that exists. */
export interface Found {
  readonly value: string;
  /** The revision of the store at which it was last written, a decimal number. */
  readonly revision: string;
}

/** `found` has one element for each of the ranges, null for an absent key; empty when it was put. */
export interface TransactionAnswer {
  readonly put: boolean;
  readonly found: readonly (Found | null)[];
}

/** The body of a request. */
export function encodeTransaction({ ranges, conditions = [], put }: Transaction): string {
  const reads = ranges.map(key => ({ request_range: { key: base64(key) } }));
  if (put === undefined) return JSON.stringify({ success: reads });
  const write = { request_put: { key: base64(put.key), value: base64(put.value) } };
  const compare = conditions.map(condition => ({
    key: base64(condition.key),
    result: 'EQUAL',
    ...('value' in condition
      ? { target: 'VALUE', value: base64(condition.value) }
      : { target: 'MOD', mod_revision: condition.revision }),
  }));
  return JSON.stringify({ compare, success: [write], failure: reads });
}

/**
 * Reads the answer to `transaction`.
 * @throws CurlingError CURLING_REGISTER for anything that is not one.
 */
export function parseTransactionAnswer(text: string, transaction: Transaction): TransactionAnswer {
  const answer = parseJson(text);
  const succeeded = answer.succeeded ?? false;
  if (typeof succeeded !== 'boolean') throw malformed('succeeded', succeeded);
  if (succeeded && transaction.put) return { put: true, found: [] };
  // A transaction without conditions succeeds.
  if (succeeded === (transaction.put !== undefined)) throw malformed('succeeded', succeeded);
  const { ranges } = transaction;
  const { responses } = answer;
  if (!Array.isArray(responses) || responses.length !== ranges.length)
    throw malformed('responses', responses);
  return { put: false, found: ranges.map((key, index) => parseRange(responses[index], key)) };
}

/**
 * What is kept under a VM's key.
 * @throws CurlingError CURLING_REGISTER
 */
export function parseVmValue(vm: string, found: Found | null): Entry | null {
  if (found === null) return null;
  const entry = parseEntry(parseJson(found.value));
  if (entry.vm === vm) return entry;
  throw new CurlingError('CURLING_REGISTER', `asked for ${vm}, the answer is of ${entry.vm}`);
}

/** What etcd says of a refused request: its own words if it has any, else the beginning. */
export function errorText(body: string): string {
  try {
    const { error, message } = parseJson(body);
    if (typeof error === 'string') return error.slice(0, 200);
    if (typeof message === 'string') return message.slice(0, 200);
  } catch {
    // Not etcd's form: a proxy's page, perhaps.
  }
  return JSON.stringify(body.slice(0, 100));
}

function parseRange(response: unknown, key: string): Found | null {
  const range = isObject(response) ? response.response_range : undefined;
  if (!isObject(range)) throw malformed('response_range', range);
  const kvs = range.kvs ?? [];
  if (!Array.isArray(kvs) || kvs.length > 1) throw malformed('kvs', kvs);
  if (kvs.length === 0) return null;
  const found: unknown = kvs[0];
  if (!isObject(found) || found.key !== base64(key)) throw malformed('key', found);
  const { value = '', mod_revision: revision } = found;
  if (typeof value !== 'string' || !BASE64.test(value)) throw malformed('value', value);
  if (typeof revision !== 'string' || !REVISION.test(revision) || /^0/.test(revision))
    throw malformed('mod_revision', revision);
  return { value: Buffer.from(value, 'base64').toString(), revision };
}

function parseJson(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CurlingError('CURLING_REGISTER', `etcd's answer is not JSON: ${messageOf(error)}`);
  }
  if (!isObject(value)) throw malformed('answer', value);
  return value;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function malformed(what: string, got: unknown): CurlingError {
  return new CurlingError(
    'CURLING_REGISTER',
    `etcd's answer: ${what} cannot be ${shown(got, 100)}`,
  );
}
