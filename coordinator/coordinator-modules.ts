/** What a coordinator is given. */
import type { Clock } from '../common/clock.ts';
import type { Logger } from '../common/log.ts';
import type { StopAt } from '../common/test-stop.ts';
import type { RegisterSource } from './arbitration/backend.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Gateway } from './gateway-probe.ts';
import type { IdentityFile } from './identity.ts';
import type { ProxyClient } from './proxy-client.ts';
import type { LinkShare } from './replication/link-share.ts';
import type { Sabotage } from './sabotage.ts';

export interface CoordinatorModules {
  config: CoordinatorConfig;
  clock: Clock;
  log: Logger;
  proxy: ProxyClient;
  witness: RegisterSource;
  identity: IdentityFile;
  sabotage: Sabotage | undefined;
  stopAt: StopAt;
  /** Undefined when no gateway is configured. */
  gateway: Gateway | undefined;
  /** With which machines the replication link is shared; undefined: with none. */
  share: LinkShare | undefined;
}
