import type { Scenario } from '../scenario.ts';
import { noOffloads, tcp } from './datapath/bulk.ts';
import { epochs } from './datapath/epochs.ts';
import { realTap } from './datapath/real-tap.ts';
import { roundTrip } from './datapath/round-trip.ts';
import { smallFrames } from './datapath/small-frames.ts';

export const datapath: Scenario = {
  name: 'datapath',
  title: 'Datapath',
  question:
    "What does a guest's network lose when curling stands on its tap? Against the kernel's bridge alone, in two equal " +
    'sets of namespaces on this machine: unprotected, when curling holds nothing; captured and sent at once, which is ' +
    'the cost of the detour through the proxy; sealed and released without end, which adds its control socket; and ' +
    'held in epochs. Sender, receiver, proxy ' +
    'and the program that drives it share the CPUs of this machine: the fewer there are, the more the detour costs.',
  experiments: [tcp, smallFrames, roundTrip, epochs, noOffloads, realTap],
};
