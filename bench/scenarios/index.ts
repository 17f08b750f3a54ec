/** Every scenario, in the order in which `npm run bench` runs them. */
import type { Scenario } from '../scenario.ts';
import { datapath } from './datapath.ts';
import { epoch } from './epoch.ts';
import { peers } from './peers.ts';
import { release } from './release.ts';

export const SCENARIOS: readonly Scenario[] = [datapath, release, epoch, peers];
