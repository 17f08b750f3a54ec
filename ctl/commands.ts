/** All commands of curlingctl, by name, in the order of --help. */
import { CHECK } from './check.ts';
import { CHECKPOINT } from './checkpoint.ts';
import type { CtlCommand } from './command.ts';
import { completionCommand } from './completion.ts';
import { DRILL } from './drill.ts';
import { EVENTS } from './events.ts';
import { FAILOVER } from './failover.ts';
import { KEYGEN } from './keygen.ts';
import { PROTECT, UNPROTECT } from './protect.ts';
import { STANDBY_COMMAND } from './standby-command.ts';
import { STATUS } from './status.ts';
import { TOP } from './top.ts';
import { VERSION_COMMAND } from './version.ts';

export const COMMANDS: Readonly<Record<string, CtlCommand>> = {
  status: STATUS,
  top: TOP,
  events: EVENTS,
  check: CHECK,
  protect: PROTECT,
  unprotect: UNPROTECT,
  failover: FAILOVER,
  checkpoint: CHECKPOINT,
  drill: DRILL,
  'standby-command': STANDBY_COMMAND,
  keygen: KEYGEN,
  completion: completionCommand(() => COMMANDS),
  version: VERSION_COMMAND,
};
