/**
 * For each alert, series with which it fires and series with which it does not; a sample every 15 s, in promtool's notation:
 * `0+1x8` is 0, 1, … 8, `1x8` is 1 nine times, `_` is no sample.
 */
export interface AlertCase {
  /** Series and their samples. */
  fires: Record<string, string>;
  quiet: Record<string, string>;
  /** When it is looked at. Minutes, default 5. */
  minutes?: number;
}

const A = 'vm="web", instance="kvm1", job="curling-coordinator"';
const B = 'vm="web", instance="kvm2", job="curling-coordinator"';
const TAP = 'tap="tap0", instance="kvm1", job="curling-proxy"';
const WITNESS = 'instance="wit", job="curling-witness"';

/** A histogram of which 97 of 100 values are at most 8 ms, and three more than a quarter of a second and at most `le`. */
function late(name: string, labels: string, le: string): Record<string, string> {
  return {
    [`${name}_bucket{${labels}, le="0.008"}`]: '0+97x80',
    [`${name}_bucket{${labels}, le="0.256"}`]: '0+97x80',
    [`${name}_bucket{${labels}, le="${le}"}`]: '0+100x80',
    [`${name}_bucket{${labels}, le="+Inf"}`]: '0+100x80',
  };
}

/** All of its values are at most 8 ms. */
function soon(name: string, labels: string): Record<string, string> {
  return {
    [`${name}_bucket{${labels}, le="0.008"}`]: '0+100x80',
    [`${name}_bucket{${labels}, le="+Inf"}`]: '0+100x80',
  };
}

const MACHINE: Record<string, AlertCase> = {
  CurlingUnprotected: {
    fires: {
      [`curling_protected{${A}}`]: '0x20',
      [`curling_running{${A}}`]: '1x20',
      [`curling_protected{${B}}`]: '0x20',
    },
    // The other host protects it; and 20 s without a backup are not long.
    quiet: {
      [`curling_protected{${A}}`]: '1x18 0 0',
      [`curling_running{${A}}`]: '1x20',
      [`curling_protected{${B}}`]: '0x20',
      [`curling_running{${B}}`]: '0x20',
    },
  },
  CurlingRunsNowhere: {
    fires: { [`curling_running{${A}}`]: '0x20', [`curling_running{${B}}`]: '0x20' },
    quiet: { [`curling_running{${A}}`]: '0x20', [`curling_running{${B}}`]: '1x20' },
  },
  CurlingOutputBlocked: {
    fires: { [`curling_output_blocked{${A}}`]: '0x17 1 1 1' },
    quiet: { [`curling_output_blocked{${A}}`]: '0x10 1 0x20' },
  },
  CurlingFailover: {
    fires: { [`curling_failovers_total{${B}, reason="silence"}`]: '0x10 1x20' },
    quiet: { [`curling_failovers_total{${B}, reason="silence"}`]: '3x30' },
  },
  CurlingFailoverFailed: {
    fires: { [`curling_events_total{${B}, event="FAILOVER_FAILED"}`]: '0x10 1x20' },
    quiet: {
      [`curling_events_total{${B}, event="FAILOVER_FAILED"}`]: '1x30',
      [`curling_events_total{${B}, event="FAILED_OVER"}`]: '0x10 1x20',
    },
  },
  CurlingDrillFailed: {
    fires: { [`curling_events_total{${B}, event="DRILL_FAILED"}`]: '0x10 1x20' },
    quiet: { [`curling_events_total{${B}, event="DRILL_DONE"}`]: '0x10 1x20' },
  },
  CurlingStandbyMissing: {
    fires: {
      [`curling_role{${B}, role="backup"}`]: '1x20',
      [`curling_standby_up{${B}}`]: '0x20',
    },
    quiet: {
      [`curling_role{${B}, role="backup"}`]: '1x20',
      [`curling_standby_up{${B}}`]: '1x20',
      [`curling_role{${A}, role="backup"}`]: '0x20',
      [`curling_standby_up{${A}}`]: '0x20',
      [`curling_peer_standby_up{${A}}`]: '1x20',
    },
  },
  CurlingStandbyDies: {
    fires: { [`curling_events_total{${B}, event="STANDBY_LOST"}`]: '0x10 1x20' },
    quiet: { [`curling_events_total{${B}, event="STANDBY_READY"}`]: '0x10 1x20' },
  },
  CurlingFenced: {
    fires: { [`curling_state{${A}, state="HALT"}`]: '1x20' },
    quiet: {
      [`curling_state{${A}, state="HALT"}`]: '0x17 1 1 1',
      [`curling_state{${A}, state="PROT"}`]: '1x20',
    },
  },
};

const DAEMONS: Record<string, AlertCase> = {
  CurlingCoordinatorDown: {
    fires: { [`up{${A}}`]: '1x10 0x10' },
    quiet: { [`up{${A}}`]: '1x20', [`up{${TAP}}`]: '0x20' },
  },
  CurlingProxyDown: {
    fires: { [`up{${TAP}}`]: '1x10 0x10' },
    quiet: { [`up{${TAP}}`]: '1x20', [`up{${WITNESS}}`]: '0x20' },
  },
  CurlingWitnessDown: {
    fires: { [`up{${WITNESS}}`]: '1x10 0x10' },
    quiet: { [`up{${WITNESS}}`]: '1x20', [`up{${A}}`]: '0x20' },
  },
  CurlingRestarting: {
    fires: { [`curling_process_start_time_seconds{${WITNESS}}`]: '1x5 2x5 3x5 4x5' },
    quiet: { [`curling_process_start_time_seconds{${WITNESS}}`]: '1x10 2x10' },
  },
  CurlingStuck: {
    fires: { [`curling_event_busy_seconds{${A}}`]: '0x18 1 14' },
    quiet: { [`curling_event_busy_seconds{${A}}`]: '0x18 9 0' },
  },
  CurlingEventLoopLate: {
    fires: { [`curling_event_loop_delay_seconds{${A}, percentile="99"}`]: '0.2x40' },
    quiet: {
      [`curling_event_loop_delay_seconds{${A}, percentile="99"}`]: '0.01x30 0.5x9',
      [`curling_event_loop_delay_seconds{${A}, percentile="100"}`]: '0.2x40',
    },
    minutes: 10,
  },
  CurlingVersionsDiffer: {
    fires: versions('0.1.0', '0.2.0'),
    quiet: { ...versions('0.2.0', '0.2.0'), ...otherProgram('0.1.0') },
    minutes: 80,
  },
};

function versions(...all: string[]): Record<string, string> {
  const series = all.map((version, i) => {
    const labels = `vm="web", instance="kvm${i}", version="${version}"`;
    return [`curling_build_info{${labels}, program="curling-coordinator"}`, '1x400'];
  });
  return Object.fromEntries(series);
}

function otherProgram(version: string): Record<string, string> {
  return { [`curling_build_info{program="curling-proxy", version="${version}"}`]: '1x400' };
}

const OTHERS: Record<string, AlertCase> = {
  CurlingWitnessUnreachable: {
    fires: { [`curling_witness_reachable{${A}}`]: '1x15 0x5' },
    quiet: { [`curling_witness_reachable{${A}}`]: '1x10 0 1x20' },
  },
  CurlingProxyLost: {
    fires: { [`curling_proxy_connected{${A}}`]: '1x15 0x5' },
    quiet: { [`curling_proxy_connected{${A}}`]: '1x10 0 1x20' },
  },
  CurlingGatewayUnreachable: {
    fires: { [`curling_gateway_reachable{${A}}`]: '1x10 0x10' },
    // Without gateways there is no such series.
    quiet: { [`curling_gateway_reachable{${B}}`]: '1x20', [`curling_running{${A}}`]: '1x20' },
  },
  CurlingPeerSlow: {
    fires: { [`curling_peer_rtt_seconds{${A}}`]: '0.03x40' },
    quiet: { [`curling_peer_rtt_seconds{${A}}`]: '0.0004x20 0.5 0.0004x20' },
    minutes: 10,
  },
  CurlingStrangersRefused: {
    fires: {
      [`curling_replication_handshakes_failed_total{${A}, reason="wrong-key"}`]: '0+1x20',
    },
    quiet: { [`curling_wire_handshakes_failed_total{${WITNESS}, reason="other"}`]: '0 1x20' },
  },
  CurlingHooksFailing: {
    fires: hooks('0x20', '0x10 1x10'),
    quiet: hooks('0+1x20', '2x20'),
  },
};

function hooks(run: string, timedOut: string): Record<string, string> {
  return {
    [`curling_hooks_run_total{${A}}`]: run,
    [`curling_hooks_failed_total{${A}}`]: '0x20',
    [`curling_hooks_timed_out_total{${A}}`]: timedOut,
    [`curling_hooks_dropped_total{${A}}`]: '0x20',
  };
}

const COST: Record<string, AlertCase> = {
  CurlingNoCommits: {
    fires: {
      [`curling_last_commit_timestamp_seconds{${A}}`]: '0x20',
      [`curling_protected{${A}}`]: '1x20',
    },
    quiet: {
      [`curling_last_commit_timestamp_seconds{${A}}`]: '0x20',
      [`curling_protected{${A}}`]: '0x20',
      [`curling_last_commit_timestamp_seconds{${B}}`]: '0+15x20',
      [`curling_protected{${B}}`]: '1x20',
    },
  },
  CurlingReplicationLag: {
    fires: { [`curling_replication_lag_epochs{${A}}`]: '4x20' },
    quiet: { [`curling_replication_lag_epochs{${A}}`]: '4x16 1 4x4' },
  },
  CurlingOutputLate: {
    fires: late('curling_output_delay_seconds', A, '0.512'),
    quiet: soon('curling_output_delay_seconds', A),
    minutes: 15,
  },
  CurlingGuestStopped: {
    fires: { [`curling_pause_duration_seconds_sum{${A}}`]: '0+12x80' },
    quiet: { [`curling_pause_duration_seconds_sum{${A}}`]: '0+7x80' },
    minutes: 15,
  },
  CurlingGuestWaits: {
    fires: { [`curling_guest_waits_total{${A}}`]: '0+30x80' },
    quiet: { [`curling_guest_waits_total{${A}}`]: '0+10x80' },
    minutes: 15,
  },
};

function buffer(bytes: number, frames: number): Record<string, string> {
  return {
    [`curling_buffered_bytes{${TAP}}`]: `${bytes}x20`,
    [`curling_buffer_limit_bytes{${TAP}}`]: '1000x20',
    [`curling_buffered_frames{${TAP}}`]: `${frames}x20`,
    [`curling_buffer_limit_frames{${TAP}}`]: '100x20',
  };
}

function losses(drops: string, refused: string): Record<string, string> {
  return {
    [`curling_capture_drops_total{${TAP}}`]: drops,
    [`curling_buffer_full_total{${TAP}}`]: '0x20',
    [`curling_frames_dropped_total{${TAP}, reason="refused"}`]: refused,
    [`curling_frames_dropped_total{${TAP}, reason="discarded"}`]: '0+9x20',
  };
}

const REST: Record<string, AlertCase> = {
  CurlingBufferFilling: { fires: buffer(10, 81), quiet: buffer(790, 79) },
  CurlingFramesLost: { fires: losses('0x20', '0x10 1x10'), quiet: losses('7x20', '0x20') },
  CurlingRecordingFailed: {
    fires: { [`curling_record_failures_total{${TAP}}`]: '0x10 1x10' },
    quiet: { [`curling_record_failures_total{${TAP}}`]: '1x20' },
  },
  CurlingWitnessDiskSlow: {
    fires: late('curling_witness_sync_duration_seconds', WITNESS, '0.512'),
    quiet: soon('curling_witness_sync_duration_seconds', WITNESS),
    minutes: 16,
  },
  CurlingWitnessFull: {
    fires: witnessOf(930),
    quiet: witnessOf(900),
  },
  CurlingClientsRefused: {
    fires: refusals('0x10 1x10'),
    quiet: refusals('5x20'),
  },
};

function witnessOf(machines: number): Record<string, string> {
  return {
    [`curling_witness_machines{${WITNESS}}`]: `${machines}x20`,
    [`curling_witness_machines_limit{${WITNESS}}`]: '1024x20',
  };
}

function refusals(control: string): Record<string, string> {
  return {
    [`curling_control_refused_total{${A}}`]: control,
    [`curling_http_connections_refused_total{${A}}`]: '0x20',
  };
}

export const ALERT_CASES: Readonly<Record<string, AlertCase>> = {
  ...MACHINE,
  ...DAEMONS,
  ...OTHERS,
  ...COST,
  ...REST,
};
