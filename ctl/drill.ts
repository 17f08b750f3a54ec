/** `curlingctl drill`: would the failover to this host work right now? */
import type { DrillDone } from '../coordinator/drill.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { type CtlCommand, SOCKET_OPTION } from './command.ts';
import { targetOf, tell } from './target.ts';

export const DRILL: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: "rehearses a failover on the backup's host, into a spare QEMU that is thrown away",
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document' },
  },
  notes: ['Returns when it is over. The pair goes on; commits wait for the load, milliseconds.'],
  statuses: {
    0: 'the committed checkpoint loads here',
    1: 'it does not, or there was no answer (CURLING_DRILL): the message says why',
  },
  async run(line) {
    const target = await targetOf(line);
    const done = (await tell(target, 'drill')) as DrillDone;
    const text = line.values.json === true ? JSON.stringify(done) : drillText(target.status!, done);
    process.stdout.write(`${text}\n`);
    return undefined;
  },
};

/** What there is to say of a drill that went well. Pure. */
export function drillText({ vm, host }: CoordinatorStatus, done: DrillDone): string {
  const { epoch, startMs, loadMs, delayMsMax } = done;
  const times = `started in ${startMs.toFixed(0)} ms, loaded in ${loadMs.toFixed(1)} ms`;
  return [
    `${vm}: checkpoint ${epoch} loads on ${host}, and would run there`,
    `  spare QEMU   ${times}, ended`,
    `  the pair     went on; commits waited ${delayMsMax.toFixed(1)} ms at most`,
  ].join('\n');
}
