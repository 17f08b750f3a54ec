/** Status documents, and coordinators that have nothing but one. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { QmpServer } from '../../common/qmp/server.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';

/** That of a protected machine, changed. */
export function status(change: Partial<CoordinatorStatus> = {}): CoordinatorStatus {
  return {
    vm: 'web',
    host: 'kvm1',
    state: 'PROT',
    protected: true,
    running: true,
    role: 'primary',
    generation: 4,
    incarnation: '0'.repeat(32),
    peer: 'kvm2',
    reason: 'by kvm2',
    since: '2026-11-23T06:40:11.000Z',
    epoch: { taken: 18231, committed: 18230, released: 18230 },
    checkpoint: {
      mode: 'output',
      pauseMs: { count: 9, p50: 2.1, p90: 3, p99: 4.1, max: 5 },
      commitMs: { count: 9, p50: 1, p90: 2, p99: 3, max: 4 },
      bytesP50: 6_500_000,
      bytesTotal: 65_000_000,
      inFlight: 1,
      guestWaits: 0,
      windowClosed: 0,
      staging: { bytes: 4 << 20, peakBytes: 3 << 20, boundBytes: 192 << 20 },
      packing: { policy: 'auto', effort: 'plain', sentBytesTotal: 65_000_000 },
    },
    outputDelayMs: { count: 9, p50: 8.4, p90: 12, p99: 21, max: 30 },
    lastCommitAt: '2026-11-23T06:51:11.000Z',
    proxy: {
      ...{ connected: true, state: 'hold', taps: ['tap0'], bridge: 'br0', framesLost: 0 },
      ...{ heldFrames: 37, heldBytes: 41_984, bytesMax: 2 ** 26 },
    },
    trialMs: null,
    standby: { up: true, reason: null },
    drill: null,
    peerRttMs: 0.3,
    witness: { reachable: true, store: null },
    unprotected: null,
    onBackupLoss: 'continue',
    held: false,
    gateway: null,
    failovers: [],
    hooks: { run: 0, failed: 0, timedOut: 0, dropped: 0 },
    warnings: [],
    ...change,
  };
}

/** A folder that is gone after the test. */
export function folder(t: ExecutionContext): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), `curling-ctl-${process.pid}-`));
  t.teardown(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A coordinator's control socket that answers with the document, until the test is over. */
export async function coordinator(
  t: ExecutionContext,
  socket: string,
  document: () => CoordinatorStatus,
): Promise<QmpServer> {
  fs.mkdirSync(path.dirname(socket), { recursive: true });
  const commands = { 'query-status': () => document() };
  const server = new QmpServer({ program: 'curling-coordinator', commands });
  await server.listen(socket);
  t.teardown(() => server.close().catch(() => {}));
  return server;
}
