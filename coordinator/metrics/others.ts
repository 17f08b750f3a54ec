/** Metrics of those around a coordinator: its peer, the witness, the gateways, the proxy, the hooks, who looks at its page. */
import type { EventStreams } from '../../common/http/event-streams.ts';
import { byReason, counterFamilies, type Family } from '../../common/metric-families.ts';
import type { RegisterSource } from '../arbitration/backend.ts';
import type { GatewayMonitor } from '../arbitration/gateway.ts';
import type { Store } from '../checkpoint/store.ts';
import type { HookCounters } from '../hooks/hooks.ts';
import type { BackupListener } from '../replication/listener.ts';
import type { CoordinatorSource } from './source.ts';

const MS_PER_S = 1_000;

function roundTripMs({ coordinator: { primary, backup } }: CoordinatorSource): number | null {
  return primary.roundTripMs ?? backup.roundTripMs;
}

const STATES: Family<CoordinatorSource>[] = [
  {
    name: 'curling_peer_rtt_seconds',
    type: 'gauge',
    help: 'Round trip to the other host on the replication link, of the newest heart beat; absent without a peer.',
    read: source => {
      const ms = roundTripMs(source);
      return ms === null ? undefined : ms / MS_PER_S;
    },
  },
  {
    name: 'curling_witness_reachable',
    type: 'gauge',
    help: '1 when the witness, or etcd, answered when it was last needed; it is asked every two seconds.',
    read: ({ witness }) => Number(witness.connected),
  },
  {
    name: 'curling_gateway_reachable',
    type: 'gauge',
    help: '1 when a gateway has answered within the last second; absent without gateways.',
    read: ({ coordinator: { gateway } }) => (gateway ? Number(gateway.reachable) : undefined),
  },
  {
    name: 'curling_proxy_connected',
    type: 'gauge',
    help: "1 while the proxy's control socket is connected.",
    read: ({ proxy }) => Number(proxy.connected),
  },
];

/** What the listener counts by cause has a table of its own below. */
type ListenerCounters = Omit<BackupListener['counters'], 'failed' | 'handshakesFailed'>;

const LISTENER: Family<CoordinatorSource>[] = [
  ...counterFamilies<ListenerCounters, CoordinatorSource>(
    'curling_replication_',
    {
      connections: 'Connections that the replication port accepted.',
      halfOpenRefused:
        'Of these, the ones that were closed at once because too many had not said who they are.',
      handshakeTimeouts: 'Of these, the ones that did not say in time who they are.',
      secondRefused: 'Primaries that were refused because another one is connected.',
      admitted: 'Primaries that were admitted.',
    },
    ({ coordinator }) => coordinator.backup.listenerCounters,
  ),
  {
    name: 'curling_replication_handshakes_failed_total',
    type: 'counter',
    help: 'Connections to the replication port that did not prove a host, by reason.',
    read: ({ coordinator }) => byReason(coordinator.backup.listenerCounters.handshakesFailed),
  },
  {
    name: 'curling_replication_failed_total',
    type: 'counter',
    help: 'Replication connections that ended with an error, by its code (docs/errors.md).',
    read: ({ coordinator }) => byReason(coordinator.backup.listenerCounters.failed),
  },
];

const STORE = counterFamilies<Store['counters'], CoordinatorSource>(
  'curling_store_',
  {
    commits:
      'Checkpoints, full copies included, that the store on this host has committed; from 0 with every new store.',
    aborts: 'Checkpoints that it threw away because they did not end.',
    appliedPages: 'Pages that it wrote into the shadow.',
  },
  ({ coordinator }) => coordinator.backup.storeCounters,
);

const REGISTER = counterFamilies<RegisterSource['counters'], CoordinatorSource>(
  'curling_register_',
  {
    requests: 'Questions to the witness, or etcd.',
    failures: 'Of these, the ones without an answer that could be used.',
    connections: 'Connections to it that were made.',
    connectFailures: 'Attempts to connect to it that failed.',
  },
  ({ witness }) => witness.counters,
);

const GATEWAY = counterFamilies<GatewayMonitor['counters'], CoordinatorSource>(
  'curling_gateway_',
  {
    sent: 'Echo requests to gateways.',
    answered: 'Of these, the ones that were answered.',
    strange: 'Echo replies that answer no request.',
    forgotten: 'Requests that are not waited for any more because too many are open.',
  },
  ({ coordinator }) => coordinator.gateway?.counters,
);

const HOOKS = counterFamilies<HookCounters, CoordinatorSource>(
  'curling_hooks_',
  {
    run: 'Runs of hooks that are over.',
    failed: 'Of these, the ones that did not end with status 0, or could not be started.',
    timedOut:
      'Of these, the ones that were ended because they took too long; not counted as failed.',
    dropped: 'Events that hooks were not told, or not all of them.',
  },
  ({ hooks }) => hooks.counters,
);

const PAGE: Family<CoordinatorSource>[] = [
  {
    name: 'curling_page_streams',
    type: 'gauge',
    help: 'Who follows the status page now; 16 at most.',
    read: ({ streams }) => streams.size,
  },
  ...counterFamilies<EventStreams['counters'], CoordinatorSource>(
    'curling_page_streams_',
    {
      opened: 'Times that somebody began to follow the status page.',
      refused: 'Times that somebody was refused because 16 follow it already.',
      dropped: 'Times that somebody was dropped because more than 1 MiB was not read.',
    },
    ({ streams }) => streams.counters,
  ),
];

export const OTHERS = [
  ...[...STATES, ...LISTENER, ...STORE, ...REGISTER, ...GATEWAY, ...HOOKS],
  ...PAGE,
];
