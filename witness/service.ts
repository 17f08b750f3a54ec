/**
 * The witness's commands, in QMP's shape over TCP. Every argument is checked; every answer is on
 * disk when it leaves.
 */
import type { JsonObject } from '../common/qmp/messages.ts';
import { QmpServer, type QmpServerOptions, type ServerClient } from '../common/qmp/server.ts';
import type { StopAt } from '../common/test-stop.ts';
import { checkPeer } from '../common/wire/peer.ts';
import { createRequest } from '../coordinator/arbitration/host-start.ts';
import type { Register, SwapRequest } from '../coordinator/arbitration/register.ts';
import {
  parseName,
  parseOwner,
  parseSwapRequest,
} from '../coordinator/arbitration/register-json.ts';
import type { WitnessStore } from './store.ts';

/** Longest request: a `swap` has at most about 600 bytes. */
const REQUEST_BYTES_MAX = 4096;
/** Two hosts for each of the VMs that a store keeps by default, and some operators. */
const CLIENTS_MAX = 2_100;

/**
 * The server for a store; the caller listens and closes. Only a host itself may ask for what gives
 * it the machine: a request of another one is CURLING_IDENTITY. Every host that has authenticated
 * may read.
 *
 *   read {vm}                                        {register}; null when it is absent
 *   create {vm, primary}                             {swapped, register}
 *   swap {vm, generation, transition, by, backup?}   {swapped, register}: as it is now
 *   query-store                                      {store}
 *   query-status                                     {store, vms, bytes, counters, server, wire}
 *
 * With an absent register comes `generation`: the one in which it was forgotten, or 0.
 */
export function witnessServer(
  store: WitnessStore,
  wire: Pick<QmpServerOptions, 'credentials' | 'log'> = {},
  stopAt: StopAt = () => {},
): QmpServer {
  let identitiesRefused = 0;
  const swapAs = (client: ServerClient, request: SwapRequest) => {
    try {
      checkPeer(client.peer, request.by.host, 'the request');
    } catch (error) {
      identitiesRefused++;
      throw error;
    }
    return swap(store, request, stopAt);
  };
  const server: QmpServer = new QmpServer({
    ...wire,
    program: 'curling-witness',
    clientsMax: CLIENTS_MAX,
    lineBytesMax: REQUEST_BYTES_MAX,
    unsentBytesMax: 64 << 10,
    pendingMax: 8,
    commands: {
      read: (args: JsonObject) => read(store, parseName('vm', args.vm)),
      create: (args, client) =>
        swapAs(
          client,
          createRequest(parseName('vm', args.vm), parseOwner('primary', args.primary)),
        ),
      swap: (args, client) => swapAs(client, parseSwapRequest(args)),
      'query-store': () => ({ store: store.id }),
      'query-status': () => ({
        store: store.id,
        vms: store.vms,
        bytes: store.bytes,
        counters: store.counters,
        server: server.counters,
        wire: { ...server.wireCounters, identitiesRefused },
      }),
    },
  });
  return server;
}

// Both look at the forgotten generation in the same moment as at the register.

async function read(store: WitnessStore, vm: string): Promise<JsonObject> {
  const forgotten = store.forgottenIn(vm);
  return answer({ register: await store.read(vm) }, forgotten);
}

async function swap(
  store: WitnessStore,
  request: SwapRequest,
  stopAt: StopAt,
): Promise<JsonObject> {
  const forgotten = store.forgottenIn(request.vm);
  const result = await store.swap(request);
  if (result.swapped && request.transition === 'solo-by-backup') stopAt('solo-applied');
  if (result.swapped && request.transition === 'pair') stopAt('pair-applied');
  return answer(result, forgotten);
}

function answer(found: { register: Register | null }, forgotten: number): JsonObject {
  return found.register === null ? { ...found, generation: forgotten } : { ...found };
}
