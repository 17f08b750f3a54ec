/** Metrics of the machine on this host: its state, its protection, failovers. */
import { byReason, type Family, oneOf } from '../../common/metric-families.ts';
import { HOST_STATES, type HostState } from '../arbitration/host-state.ts';
import type { CoordinatorSource } from './source.ts';

const MS_PER_S = 1_000;
const ROLES = ['primary', 'backup', 'none'] as const;
const ROLE_OF: Partial<Record<HostState['name'], (typeof ROLES)[number]>> = {
  ...{ PROT: 'primary', PRES: 'primary', SOLO: 'primary', SYNC: 'primary', SRES: 'primary' },
  ...{ BACK: 'backup', FROZ: 'backup' },
};

/** Output waits, and no checkpoint can release it: for a word of the register, or because of the policy. */
function blocked({ name, running, held }: HostState): boolean {
  return held || (running && (name === 'PRES' || name === 'SRES')) || name === 'FROZ';
}

export const MACHINE: Family<CoordinatorSource>[] = [
  {
    name: 'curling_protected',
    type: 'gauge',
    help: '1 while the guest runs here and another host has a committed checkpoint of it. A machine is protected when one of its hosts has 1.',
    read: ({ coordinator }) => Number(coordinator.state.name === 'PROT'),
  },
  {
    name: 'curling_running',
    type: 'gauge',
    help: '1 while the guest executes on this host.',
    read: ({ coordinator }) => Number(coordinator.state.running),
  },
  {
    name: 'curling_state',
    type: 'gauge',
    help: '1 for the state of arbitration that this host is in, 0 for the others.',
    read: ({ coordinator }) => oneOf('state', HOST_STATES, coordinator.state.name),
  },
  {
    name: 'curling_role',
    type: 'gauge',
    help: '1 for the role of this host: primary, backup or none.',
    read: ({ coordinator }) => oneOf('role', ROLES, ROLE_OF[coordinator.state.name] ?? 'none'),
  },
  {
    name: 'curling_generation',
    type: 'gauge',
    help: 'The generation of the register that this host knows; it grows with every change of who may run the machine.',
    read: ({ coordinator }) => coordinator.state.generation,
  },
  {
    name: 'curling_output_blocked',
    type: 'gauge',
    help: '1 while output is held and no checkpoint can release it: this host waits for a word of the witness, or its policy is to hold.',
    read: ({ coordinator }) => Number(blocked(coordinator.state)),
  },
  {
    name: 'curling_unprotected_since_timestamp_seconds',
    type: 'gauge',
    help: 'Since when nobody else has the state of the guest that runs here, Unix time; absent when somebody has, or no guest runs here.',
    read: ({ coordinator: { unprotected } }) =>
      unprotected ? Date.parse(unprotected.since) / MS_PER_S : undefined,
  },
  {
    name: 'curling_last_commit_timestamp_seconds',
    type: 'gauge',
    help: 'When a backup was last heard to have committed a checkpoint of this host, or its full copy, Unix time; absent before.',
    read: ({ coordinator: { telemetry } }) =>
      telemetry.lastCommitAt === undefined ? undefined : telemetry.lastCommitAt / MS_PER_S,
  },
  {
    name: 'curling_failovers_total',
    type: 'counter',
    help: 'Failovers to this host, by reason: silence, connection, guest, operator.',
    read: ({ coordinator }) => byReason(coordinator.telemetry.failovers),
  },
  {
    name: 'curling_events_total',
    type: 'counter',
    help: 'Events that management tools and hooks were told, by name.',
    read: ({ coordinator }) =>
      Object.entries(coordinator.telemetry.events).map(([event, count]) => [{ event }, count]),
  },
  {
    name: 'curling_standby_up',
    type: 'gauge',
    help: '1 while a standby QEMU is up on this host that could run the guest.',
    read: ({ coordinator }) => Number(coordinator.backup.standbyUp),
  },
  {
    name: 'curling_peer_standby_up',
    type: 'gauge',
    help: '1 while the backup of this host says that it has a standby QEMU, 0 while that is gone; absent without a backup.',
    read: ({ coordinator: { primary } }) =>
      primary.peerStandby === null ? undefined : Number(primary.peerStandby.up),
  },
  {
    name: 'curling_trial_load_seconds',
    type: 'gauge',
    help: 'How long the trial load of the newest full copy took on this host; absent without one.',
    read: ({ coordinator: { backup } }) =>
      backup.trialMs === null ? undefined : backup.trialMs / MS_PER_S,
  },
  {
    name: 'curling_event_busy_seconds',
    type: 'gauge',
    help: 'For how long this host has been working on one event of arbitration; after 30 s it counts as stuck, and the watchdog is not fed.',
    read: ({ coordinator }) => coordinator.busyMs / MS_PER_S,
  },
];
