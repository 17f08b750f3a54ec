/** From the death of a host to the guest's next word from the other one. */
import { FailoverRig, killValues } from '../guest/failover-rig.ts';
import type { Experiment, RunContext, Scenario } from '../scenario.ts';

const RATE = 100;
const KILLED =
  "All processes of the guest's host (QEMU, coordinator, proxy) die by SIGKILL; its kernel closes their connections, " +
  'which is how the backup learns of it.';
const SILENTLY =
  "The cables of the guest's host are pulled, then all its processes die by SIGKILL: nobody is told, and the backup " +
  'takes 300 ms of silence for a death.';

interface Death {
  id: string;
  silently: boolean;
  mebibytes: number;
  title: string;
  full: number;
  quick: number;
}

function experiment({ id, silently, mebibytes, title, full, quick }: Death): Experiment {
  let rig: FailoverRig | undefined;
  return {
    id: `failover/${id}`,
    title,
    about:
      `${silently ? SILENTLY : KILLED} Meanwhile a client asks for ${RATE} echoes a second over one connection. From ` +
      `there: detection until the backup suspects (300 ms of ` +
      'silence by default), decision until the witness has granted, resume until the guest runs; first frame until ' +
      "the guest's first frame enters the LAN from its new host. Gap is the client's longest time without a byte.",
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
    variants: [{ id: 'killed', title }],
    rounds: { full, quick },
    seconds: { open: mebibytes > 1024 ? 12 : 8, run: 5, quickRun: 4 },
    async open({ signal }: RunContext) {
      rig = await FailoverRig.create(signal, mebibytes);
    },
    async run(_variant: string, { quick, signal }: RunContext) {
      // A kill that went wrong has lost the guest: the next one gets another.
      if (rig?.broken) {
        await rig.close();
        rig = undefined;
      }
      rig ??= await FailoverRig.create(signal, mebibytes);
      const ms = quick ? 1_200 : 2_500;
      const values = killValues(await rig.kill({ silently, rate: RATE, beforeMs: 300, ms }));
      return Object.fromEntries(
        Object.entries(values).filter(([, value]) => Number.isFinite(value)),
      );
    },
    async close() {
      await rig?.close();
      rig = undefined;
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
      ...{ id: 'killed', silently: false, mebibytes: 128, full: 20, quick: 2 },
      title: 'Killed, a guest of 128 MiB',
    }),
    experiment({
      ...{ id: 'killed-2048', silently: false, mebibytes: 2048, full: 6, quick: 1 },
      title: 'Killed, a guest of 2 GiB',
    }),
    experiment({
      ...{ id: 'silent', silently: true, mebibytes: 128, full: 6, quick: 1 },
      title: 'Cut off first, a guest of 128 MiB',
    }),
  ],
};
