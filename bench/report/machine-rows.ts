/** The machine and the run, as rows of name and text; the same in every report. */
import type { Results } from '../harness/results.ts';
import { numberText } from './format.ts';

const COMMIT_DIGITS = 12;

/** Name and text. */
export function machineRows(results: Results): [string, string][] {
  const { machine, quick, roundsAsked, only } = results;
  const { before, commit, dirty } = machine;
  const sources = commit
    ? `commit ${commit.slice(0, COMMIT_DIGITS)}${dirty ? ', with changes' : ''}`
    : 'no git repository';
  const guests = machine.kvm ? 'TCG (KVM is there, the lab does not use it)' : 'TCG; no KVM here';
  const load = `load ${before.load.toFixed(1)}, others ${before.foreignPercent.toFixed(0)} %, steal ${before.stealPercent.toFixed(0)} %`;
  const rounds = roundsAsked === null ? '' : `, ${roundsAsked} rounds`;
  const what = only.length > 0 ? only.join(', ') : 'all scenarios';
  return [
    ['Processor', `${machine.cpu}, ${machine.cores} cores`],
    ['Memory', `${numberText(machine.memoryMib)} MiB`],
    ['Kernel', machine.kernel],
    ['Node', machine.node],
    ['QEMU', machine.qemu ?? 'none'],
    ['Guests', guests],
    ['Sources', sources],
    ['Before the start', load],
    ['Run', `${quick ? 'quick' : 'full'}, ${what}${rounds}`],
  ];
}

/** The machine in one line. */
export function machineSummary({ machine }: Results): string {
  const { cpu, cores, memoryMib, kernel, qemu } = machine;
  const version = /version (\S+)/.exec(qemu ?? '')?.[1];
  const emulator = version ? `QEMU ${version}` : 'no QEMU';
  return `${cpu}, ${cores} cores, ${Math.round(memoryMib / 1024)} GiB, ${kernel}, ${emulator} under TCG`;
}
