/** From the death of a host to the guest's next word from the other one. */
import { FailoverRig, killValues } from '../guest/failover-rig.ts';
import { Keeper } from '../guest/keeper.ts';
import type { Experiment, RunContext, Scenario, Variant } from '../scenario.ts';

const RATE = 100;
const KILLED =
  "All processes of the guest's host (QEMU, coordinator, proxy) die by SIGKILL; its kernel closes their connections, " +
  'which is how the backup learns of it. ';
const SILENTLY =
  "The cables of the guest's host are pulled, then all its processes die by SIGKILL: nobody is told, and the backup " +
  'takes 300 ms of silence for a death. ';
const HOW =
  `Meanwhile a client asks for ${RATE} echoes a second over one connection. From the death on: detection until the ` +
  "backup suspects, decision until the witness has granted, resume until the guest runs; first frame until the guest's " +
  "first frame enters the LAN from its new host. Gap is the client's longest time without a byte.";

interface Death extends Variant {
  silently: boolean;
  mebibytes: number;
}

interface Question {
  id: string;
  title: string;
  about: string;
  deaths: readonly Death[];
  rounds: { full: number; quick: number };
  more?: Pick<Experiment, 'baseline' | 'goals'>;
}

const KILLED_128: Death = { id: 'mib-128', title: '128 MiB', silently: false, mebibytes: 128 };
const KILLED_2048: Death = { id: 'mib-2048', title: '2 GiB', silently: false, mebibytes: 2048 };

function experiment({ id, title, about, deaths, rounds, more }: Question): Experiment {
  const keepers = new Map(
    deaths.map(({ id, mebibytes }) => [
      id,
      new Keeper(signal => FailoverRig.create(signal, mebibytes)),
    ]),
  );
  return {
    id: `failover/${id}`,
    title,
    about: about + HOW,
    metrics: [
      { id: 'detection', title: 'detection', unit: 'ms', better: 'lower' },
      { id: 'decision', title: 'decision', unit: 'ms', better: 'lower' },
      { id: 'resume', title: 'resume', unit: 'ms', better: 'lower' },
      { id: 'first-frame', title: 'first frame', unit: 'ms', better: 'lower' },
      { id: 'gap', title: 'gap', unit: 'ms', better: 'lower' },
      { id: 'unanswered', title: 'unanswered', unit: '', better: 'lower' },
      { id: 'connections-lost', title: 'connections lost', unit: '', better: 'lower' },
      { id: 'wrong', title: 'wrong', unit: '', better: 'lower' },
    ],
    variants: deaths.map(({ id, title }) => ({ id, title })),
    rounds,
    ...more,
    seconds: { open: 6 * deaths.length, run: deaths.length > 1 ? 7 : 5, quickRun: 5 },
    async open({ signal }: RunContext) {
      for (const keeper of keepers.values()) await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const { silently } = deaths.find(death => death.id === variant)!;
      const options = { silently, rate: RATE, beforeMs: 300, ms: quick ? 1_200 : 2_500 };
      return keepers.get(variant)!.use(signal, async rig => {
        const values = Object.entries(killValues(await rig.kill(options)));
        return Object.fromEntries(values.filter(([, value]) => Number.isFinite(value)));
      });
    },
    async close() {
      await Promise.all([...keepers.values()].map(keeper => keeper.close()));
    },
  };
}

export const FAILOVER: Scenario = {
  name: 'failover',
  title: 'Failover',
  question:
    'How long is a client left alone when a host dies, and where does the time go? The guest resumes from memory that ' +
    'is there already, so it must not take longer for a larger guest.',
  experiments: [
    experiment({
      ...{ id: 'killed', title: 'Killed', about: KILLED },
      deaths: [KILLED_128],
      rounds: { full: 20, quick: 1 },
    }),
    experiment({
      ...{ id: 'memory', title: 'Killed, and memory of the guest', about: KILLED },
      deaths: [KILLED_128, KILLED_2048],
      rounds: { full: 6, quick: 0 },
      more: {
        baseline: KILLED_128.id,
        // It must not grow with memory: what is above 1 is the spread of so few kills.
        goals: [{ variant: KILLED_2048.id, metric: 'resume', of: 'ratio', max: 1.5 }],
      },
    }),
    experiment({
      ...{ id: 'silent', title: 'Cut off from everybody', about: SILENTLY },
      deaths: [{ ...KILLED_128, silently: true }],
      rounds: { full: 6, quick: 1 },
    }),
  ],
};
