/** A rig's guest with the null stager in the place of its coordinator: what QEMU's part of a checkpoint takes. */
import { join } from 'node:path';
import { inRepository } from '../../lab/paths.ts';
import { type GuestRig, PRIMARY } from './guest-rig.ts';
import type { NullFigures } from './null-stager.ts';

/** Checkpoints every `intervalMs` for `ms`, with QEMU's monitor to itself; the rig has no coordinator afterwards. */
export async function nullStager(
  rig: GuestRig,
  ms: number,
  intervalMs: number,
): Promise<NullFigures> {
  await rig.withoutCoordinator();
  const host = rig.deployment.lab.host(PRIMARY);
  const args = [
    ...[inRepository('build/bench/guest/null-stager.js'), '--ms', String(ms)],
    ...['--qmp', join(host.runDir, 'qmp.sock'), '--socket', join(host.runDir, 'null.sock')],
    ...['--interval', String(intervalMs)],
  ];
  const running = host.run(process.execPath, args, { timeoutMs: ms + 60_000 });
  return JSON.parse(await rig.during(running)) as NullFigures;
}
