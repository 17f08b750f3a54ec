/** Every scenario, in the order in which `npm run bench` runs them. */
import type { Scenario } from '../scenario.ts';
import { CHECKPOINT } from './checkpoint.ts';
import { datapath } from './datapath.ts';
import { epoch } from './epoch.ts';
import { FAILOVER } from './failover.ts';
import { GROWTH } from './growth.ts';
import { MANY } from './many.ts';
import { PACKING } from './packing.ts';
import { peers } from './peers.ts';
import { QUIET } from './quiet.ts';
import { release } from './release.ts';
import { ROUND_TRIP } from './round-trip.ts';
import { SIZES } from './sizes.ts';
import { SLOWDOWN } from './slowdown.ts';
import { THROUGHPUT } from './throughput.ts';
import { WIRE } from './wire.ts';

export const SCENARIOS: readonly Scenario[] = [
  datapath,
  release,
  epoch,
  CHECKPOINT,
  ROUND_TRIP,
  WIRE,
  PACKING,
  THROUGHPUT,
  SLOWDOWN,
  QUIET,
  FAILOVER,
  MANY,
  peers,
  GROWTH,
  SIZES,
];
