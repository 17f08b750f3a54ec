/** All metrics of a witness besides those of every daemon. */
import type { Registry } from 'prom-client';
import {
  byReason,
  counterFamilies,
  exportFamilies,
  type Family,
} from '../common/metric-families.ts';
import type { QmpServer } from '../common/qmp/server.ts';
import type { WitnessStore } from './store.ts';

interface WitnessSource {
  store: WitnessStore;
  server: QmpServer;
}

const STORE: Family<WitnessSource>[] = [
  {
    name: 'curling_witness_machines',
    type: 'gauge',
    help: 'Machines that have a register.',
    read: ({ store }) => store.vms,
  },
  {
    name: 'curling_witness_machines_limit',
    type: 'gauge',
    help: 'As many machines as can have one.',
    read: ({ store }) => store.vmsMax,
  },
  {
    name: 'curling_witness_store_bytes',
    type: 'gauge',
    help: 'Bytes of the file of registers.',
    read: ({ store }) => store.bytes,
  },
  {
    name: 'curling_witness_sync_duration_seconds',
    type: 'histogram',
    help: 'How long it took until what was decided was on disk; every decision waits for it.',
    read: ({ store }) => store.syncs,
  },
  ...counterFamilies<WitnessStore['counters'], WitnessSource>(
    'curling_witness_',
    {
      swaps: 'Changes of registers that were granted.',
      refused:
        'Changes that were refused, because another one came first or the rules forbid them.',
      syncs: 'Times that decisions were written through to disk.',
      compactions: 'Times that the file was written anew, without what is past.',
      tornBytesCut: 'Bytes of an unfinished last line that were cut off at the start.',
    },
    ({ store }) => store.counters,
  ),
];

type WireCounters = Omit<QmpServer['wireCounters'], 'handshakesFailed' | 'connections'>;

const WIRE: Family<WitnessSource>[] = [
  ...counterFamilies<WireCounters, WitnessSource>(
    'curling_wire_',
    {
      acceptErrors:
        'Connections that could not be accepted, for example for want of file descriptors.',
      halfOpenRefused:
        'Connections that were closed at once because too many had not proven who they are.',
      authenticated: 'Connections that have proven a host.',
      handshakeTimeouts: 'Connections that did not prove a host in time.',
    },
    ({ server }) => server.wireCounters,
  ),
  {
    name: 'curling_wire_handshakes_failed_total',
    type: 'counter',
    help: 'Connections that did not prove a host, by reason.',
    read: ({ server }) => byReason(server.wireCounters.handshakesFailed),
  },
];

export function exportWitness(registry: Registry, source: WitnessSource): void {
  exportFamilies(registry, [...STORE, ...WIRE], () => source);
}
