/**
 * Witnesses for tests: stores in folders of their own, servers in this process, clients that are
 * closed afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import type { TcpAddress } from '../../common/options.ts';
import type { Owner, SwapRequest } from '../../coordinator/arbitration/register.ts';
import {
  WitnessClient,
  type WitnessClientOptions,
} from '../../coordinator/arbitration/witness-client.ts';
import { witnessServer } from '../../witness/service.ts';
import { initStore, WitnessStore, type WitnessStoreOptions } from '../../witness/store.ts';

export const VM = 'vm';

export function owner(host: string, life: number): Owner {
  return { host, incarnation: life.toString(16).padStart(32, '0') };
}

export const A = owner('a', 1);
export const B = owner('b', 2);

/** The requests of one turn, from generation g of A alone to g + 2 of A alone. */
export function turn(generation: number, vm = VM): [SwapRequest, SwapRequest] {
  return [
    { vm, generation, transition: 'pair', by: A, backup: B },
    { vm, generation: generation + 1, transition: 'solo-by-primary', by: A },
  ];
}

export const create: SwapRequest = { vm: VM, generation: 0, transition: 'create', by: A };

/** A path for a store in a new folder. */
export function storePath(t: ExecutionContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'curling-witness-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, 'store');
}

/** An initialised store, open. */
export async function openStore(
  t: ExecutionContext,
  options: WitnessStoreOptions = {},
): Promise<{ file: string; store: WitnessStore }> {
  const file = storePath(t);
  await initStore(file);
  const store = await WitnessStore.open(file, options);
  t.teardown(() => store.close());
  return { file, store };
}

/** Serves a store on a free port of the loopback. */
export async function serve(
  t: ExecutionContext,
  store: WitnessStore,
  port = 0,
): Promise<{ address: TcpAddress; server: ReturnType<typeof witnessServer> }> {
  const server = witnessServer(store);
  await server.listen({ host: '127.0.0.1', port });
  t.teardown(() => server.close().catch(() => {}));
  return { address: { host: '127.0.0.1', port: server.port }, server };
}

export function connect(
  t: ExecutionContext,
  address: TcpAddress,
  options: WitnessClientOptions = {},
): WitnessClient {
  const client = new WitnessClient(address, options);
  t.teardown(() => client.close());
  return client;
}
