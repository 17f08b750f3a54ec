/** Long transfers over one TCP connection, from the guest and to it. */
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { GuestRig } from '../guest/guest-rig.ts';
import { Keeper } from '../guest/keeper.ts';
import { type Mode, modeTitle } from '../guest/mode.ts';
import type { Transfer } from '../guest/probe.ts';
import { named, trusted } from '../guest/spread.ts';
import type { Experiment, RunContext, Scenario, Values } from '../scenario.ts';

const MODES = ['unprotected', 'output', 'fixed-25', 'fixed-100'] as const satisfies Mode[];

export function transferValues({ bytes, us }: Transfer): Values {
  return { rate: us === 0 ? 0 : (bytes * 8) / us / 1000 };
}

/** Checkpoints between two answers of a coordinator; nothing while there are none. */
export function checkpointValues(
  before: CoordinatorStatus,
  after: CoordinatorStatus,
  seconds: number,
): Values {
  if (!after.protected) return {};
  return {
    checkpoints: (after.epoch.taken - before.epoch.taken) / seconds,
    ...named('pause', trusted(after.checkpoint.pauseMs), ['p50']),
  };
}

function experiment(way: { id: 'out' | 'in'; title: string; about: string }): Experiment {
  const keeper = new Keeper(signal => GuestRig.create({ signal }));
  return {
    id: `throughput/${way.id}`,
    title: way.title,
    about: `${way.about} One TCP connection of the guest in QEMU (TCG), whose own speed is the unprotected rate; the first part of it does not count.`,
    metrics: [
      { id: 'rate', title: 'rate', unit: 'Gbit/s', better: 'higher' },
      { id: 'checkpoints', title: 'checkpoints', unit: '1/s', better: 'neither' },
      { id: 'pause-p50', title: 'pause p50', unit: 'ms', better: 'lower' },
    ],
    variants: MODES.map(mode => ({ id: mode, title: modeTitle(mode) })),
    baseline: 'unprotected',
    rounds: { full: 2, quick: 1 },
    seconds: { open: 6, run: 3, quickRun: 2 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const [warmMs, ms] = quick ? [500, 400] : [700, 1_500];
      return keeper.use(signal, async rig => {
        await rig.become(variant as Mode);
        const [before, startMs] = [await rig.status(), performance.now()];
        const transfer =
          way.id === 'out'
            ? rig.probe.transfer('fetch', SERVICE_PORTS.bulk, warmMs, ms)
            : rig.probe.transfer('feed', SERVICE_PORTS.sink, warmMs, ms);
        const values = transferValues(await rig.during(transfer));
        const seconds = (performance.now() - startMs) / 1000;
        return { ...values, ...checkpointValues(before, await rig.status(), seconds) };
      });
    },
    close: () => keeper.close(),
  };
}

export const THROUGHPUT: Scenario = {
  name: 'throughput',
  title: 'TCP throughput of a protected guest',
  question:
    'Whatever a protected guest sends waits for a checkpoint, so a TCP connection has at most one window under way ' +
    'from one checkpoint to the next, in either direction, since acknowledgements wait as well. How much is left of ' +
    'what the guest does by itself?',
  experiments: [
    experiment({
      id: 'out',
      title: 'From the guest',
      about: 'What a client outside reads of a program that sends a number generator.',
    }),
    experiment({
      id: 'in',
      title: 'To the guest',
      about:
        'What a program in the guest that digests everything has acknowledged of what a client sends.',
    }),
  ],
};
