/** Does a fault to real processes and cables, as test/sim/faults.ts describes it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Link } from '../../lab/cables.ts';
import { signalAll } from '../../lab/processes.ts';
import { FAULT_FACTS, type Fault, type FaultName, type Target } from '../sim/faults.ts';
import { type Part, pidsOf } from '../system/faults.ts';
import type { Field, Roles } from './field.ts';

/** A long pause or cut, in detection times. */
const LONG = 3.3;
const SHORT = 0.4;
const FLAPS = 3;

/** The processes of a target that run now. */
export function pidsOfTarget(field: Field, roles: Roles, target: Target): number[] {
  const { deployment } = field;
  if (target === 'witness') return deployment.lab.witness.pids();
  const [role, what] = target.split('-') as ['primary' | 'backup', string];
  const host = roles[role];
  if (what === 'host') return deployment.lab.host(host).pids();
  return pidsOf(deployment, host, (what === 'standby' ? 'qemu' : what) as Part);
}

/**
 * Does the fault. `stopped` is the process that stands at the point: it goes on as soon as the fault is there, unless it
 * is what is paused. A long pause is over on return; a cut, or a pause for ever, is not: Field.repair ends it.
 */
export async function inject(
  field: Field,
  roles: Roles,
  name: FaultName,
  stopped: number,
): Promise<void> {
  const fault: Fault = FAULT_FACTS[name];
  switch (fault.kind) {
    case 'kill':
      return kill(field, roles, fault.target, stopped);
    case 'pause':
      return pause(field, roles, fault, stopped);
    case 'cut':
      await cut(field, roles, name);
      return signalAll([stopped], 'SIGCONT');
    case 'flap':
      signalAll([stopped], 'SIGCONT');
      for (let flap = 0; flap < FLAPS; flap++) {
        await field.deployment.lab.cut(roles.primary, 'replication');
        await sleep(SHORT * field.detectionMs);
        await field.deployment.lab.restore(roles.primary, 'replication');
        await sleep(SHORT * field.detectionMs);
      }
  }
}

async function kill(field: Field, roles: Roles, target: Target, stopped: number): Promise<void> {
  const pids = pidsOfTarget(field, roles, target);
  // Late in a failover the old primary has ended its guest itself.
  if (pids.length === 0 && target !== 'primary-qemu')
    throw new Error(`there is no ${target} to be killed`);
  if (target.endsWith('-host'))
    field.deployment.lab.kill(target === 'primary-host' ? roles.primary : roles.backup);
  else signalAll(pids, 'SIGKILL');
  const gone = () => pids.every(pid => !pidsOfTarget(field, roles, target).includes(pid));
  await field.until(`end of ${target}`, 5_000, gone);
  if (!pids.includes(stopped)) signalAll([stopped], 'SIGCONT');
}

async function pause(
  field: Field,
  roles: Roles,
  { target, length }: Extract<Fault, { kind: 'pause' }>,
  stopped: number,
): Promise<void> {
  const pids = pidsOfTarget(field, roles, target);
  signalAll(pids, 'SIGSTOP');
  if (!pids.includes(stopped)) signalAll([stopped], 'SIGCONT');
  if (length === 'forever') return;
  await sleep((length === 'long' ? LONG : SHORT) * field.detectionMs);
  signalAll(pids, 'SIGCONT');
}

/**
 * The way to the witness is the LAN cable, which is also the guest's: here a host that loses the one loses the other.
 */
async function cut(field: Field, { primary, backup }: Roles, name: FaultName): Promise<void> {
  const { lab } = field.deployment;
  if (name === 'cut-p-to-b') return lab.cutOneWay(primary, 'replication', 'out');
  if (name === 'cut-b-to-p') return lab.cutOneWay(primary, 'replication', 'in');
  const cables: Partial<Record<FaultName, [string, ...Link[]]>> = {
    'cut-pb': [primary, 'replication'],
    'cut-pw': [primary, 'lan'],
    'cut-bw': [backup, 'lan'],
    'cut-primary': [primary, 'replication', 'lan'],
    'cut-backup': [backup, 'replication', 'lan'],
  };
  await lab.cut(...cables[name]!);
}
