/**
 * What the surviving execution remembers having said: the nonces of its records, or of its
 * compare-and-swaps.
 */
import { nextChain } from '../guest/record.ts';
import { ObserverError } from './observer-error.ts';

export interface History {
  /** 16 hex digits. */
  run: string;
  /** The sequence of the first nonce. */
  first: number;
  count: number;
  /** The last sequence that was ever used; 0 when none was. */
  last: number;
  /** The chain before `first`, 16 hex digits. */
  chain: string;
  /** `count` nonces of 16 bytes. */
  nonces: Buffer;
}

const NONCE_BYTES = 16;

/**
 * A history from the guest's answer and the block behind it (workload.c).
 * @throws ObserverError when it is none.
 */
export function parseHistory(facts: Record<string, unknown>, nonces: Buffer): History {
  const { run, first, count, last, chain } = facts;
  const hex = /^[0-9a-f]{16}$/;
  if (typeof run !== 'string' || !hex.test(run) || typeof chain !== 'string' || !hex.test(chain))
    throw new ObserverError(`a history's run id or chain is not hex: ${JSON.stringify(facts)}`);
  if (!isSequence(first) || !isSequence(count) || !isSequence(last))
    throw new ObserverError(`a history's numbers are wrong: ${JSON.stringify(facts)}`);
  if (nonces.length !== count * NONCE_BYTES)
    throw new ObserverError(`a history of ${count} nonces has ${nonces.length} bytes`);
  return { run, first, count, last, chain, nonces };
}

/** The nonce of a sequence in hex, or undefined when the history does not hold it. */
export function nonceAt(history: History, sequence: number): string | undefined {
  const index = sequence - history.first;
  if (index < 0 || index >= history.count) return undefined;
  return history.nonces.toString('hex', index * NONCE_BYTES, (index + 1) * NONCE_BYTES);
}

/**
 * The chain of every sequence that the history holds, computed from its start; index 0 is
 * `first`.
 */
export function chainsOf(history: History): string[] {
  const chains: string[] = [];
  let chain = history.chain;
  for (let i = 0; i < history.count; i++) {
    chain = nextChain(chain, history.first + i, nonceAt(history, history.first + i)!);
    chains.push(chain);
  }
  return chains;
}

function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
