/** `curlingctl checkpoint`: what the guest has done until now is to survive the end of its host. */
import { wholeNumber } from '../common/options.ts';
import type { CheckpointDone } from '../coordinator/checkpoint-hints.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { type CtlCommand, SOCKET_OPTION } from './command.ts';
import { targetOf, tell } from './target.ts';

const TIMEOUT_S = 10;
const TIMEOUT_S_MAX = 600;

export const CHECKPOINT: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'takes a checkpoint now, and waits until the backup has committed it',
  options: {
    ...SOCKET_OPTION,
    json: { type: 'boolean', help: 'one JSON document' },
    timeout: { type: 'string', value: 'S', help: 'give up after S seconds (default: 10)' },
  },
  notes: [
    'On the host that runs the machine. What the guest did before the command is safe when it returns.',
  ],
  statuses: {
    0: 'a checkpoint that began after the command is committed at the backup',
    1: 'it is not, as far as is known: the message says why',
  },
  async run(line) {
    const { timeout, json } = line.values;
    const timeoutMs =
      1_000 *
      (timeout === undefined ? TIMEOUT_S : wholeNumber('timeout', timeout, 1, TIMEOUT_S_MAX));
    const target = await targetOf(line);
    const done = (await tell(target, 'checkpoint', { timeoutMs })) as CheckpointDone;
    const text = json === true ? JSON.stringify(done) : checkpointText(target.status!, done);
    process.stdout.write(`${text}\n`);
    return undefined;
  },
};

/** What there is to say of a committed checkpoint. Pure. */
export function checkpointText({ vm, peer }: CoordinatorStatus, done: CheckpointDone): string {
  const { epoch, waitMs, pauseMs, commitMs } = done;
  const times = [`waited ${waitMs.toFixed(1)} ms`, `pause ${pauseMs.toFixed(1)} ms`];
  times.push(`committed ${commitMs.toFixed(1)} ms later`);
  return `${vm}: checkpoint ${epoch} is committed on ${peer ?? 'its backup'} (${times.join(', ')})`;
}
