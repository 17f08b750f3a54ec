/** What the metrics of a coordinator are read from. */
import type { EventStreams } from '../../common/http/event-streams.ts';
import type { RegisterSource } from '../arbitration/backend.ts';
import type { Coordinator } from '../coordinator.ts';
import type { Hooks } from '../hooks/hooks.ts';
import type { ProxyClient } from '../proxy-client.ts';

export interface CoordinatorSource {
  coordinator: Coordinator;
  proxy: ProxyClient;
  witness: RegisterSource;
  hooks: Hooks;
  /** Of the status page. */
  streams: EventStreams;
}
