/** Asks the proxy from time to time how much it holds: while nothing is sealed, nothing else tells. */
import type { Coordinator } from './coordinator.ts';
import type { ProxyClient } from './proxy-client.ts';

const ASK_MS = 1_000;

/** Asks while a guest runs here whose output may be held. A proxy that does not answer holds nothing that is known. */
export function watchHeld(coordinator: Coordinator, proxy: ProxyClient): void {
  let asking = false;
  setInterval(async () => {
    const { running, name, held } = coordinator.state;
    if (asking || !proxy.connected || !running || (name === 'SOLO' && !held)) return;
    asking = true;
    const status = await proxy.status().catch(() => undefined);
    asking = false;
    if (status) coordinator.telemetry.sawHeld(status.held.bytes);
  }, ASK_MS).unref();
}
