/** The command line of `npm run soak`, and how its coordinators are told to run. */
import type { CommandSpec } from '../../common/options.ts';

/** The lab's two hosts share a few processors with two guests: a short silence does not mean that a host is dead. */
export const SOAK_FLAGS = ['--detection', '1500'];

export const SOAK: CommandSpec = {
  program: 'npm run soak --',
  usage: '[--minutes N] [--seed N] [--faults N]',
  summary: 'Protects a guest under full load for long, and looks at everything meanwhile.',
  options: {
    minutes: { type: 'string', value: 'N', default: '10', help: 'how long; 1 to 10,080' },
    seed: { type: 'string', value: 'N', default: '1', help: 'of the transfer and the faults' },
    faults: {
      type: 'string',
      value: 'N',
      help: 'make a fault N minutes after the last one healed',
    },
    segment: { type: 'string', value: 'S', default: '60', help: 'seconds between two judgements' },
  },
  notes: [
    'Needs root and QEMU. SIGINT ends it early, with its report.',
    'Statuses: 0 all was well; 1 something happened that should not, or the memory grew.',
  ],
};
