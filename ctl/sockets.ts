/** Finds the coordinators of this host and asks them. */
import fs from 'node:fs';
import path from 'node:path';
import { asCurlingError, type CurlingError } from '../common/errors.ts';
import { QmpClient, type QmpClientOptions } from '../common/qmp/client.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';

const RUN_DIR = '/run/curling';

/** What one coordinator said, or why it did not. */
export interface Answer {
  socket: string;
  status?: CoordinatorStatus;
  error?: CurlingError;
}

/** The control sockets named, or those of all coordinators in /run/curling. */
export function coordinatorSockets(named: string[], runDir = RUN_DIR): string[] {
  if (named.length > 0) return named;
  if (!fs.existsSync(runDir)) return [];
  return fs
    .readdirSync(runDir)
    .map(name => path.join(runDir, name, 'coordinator.sock'))
    .filter(socket => fs.existsSync(socket))
    .sort();
}

/** Connects to a coordinator, waiting at most two seconds. @param how More options of the connection. */
export function connect(socket: string, how: QmpClientOptions = {}): Promise<QmpClient> {
  return QmpClient.connect(socket, { connectTimeoutMs: 2_000, commandTimeoutMs: 2_000, ...how });
}

/** Asks every coordinator for its status; never throws. */
export function askAll(sockets: string[]): Promise<Answer[]> {
  return Promise.all(
    sockets.map(async socket => {
      let client: QmpClient | undefined;
      try {
        client = await connect(socket);
        return { socket, status: (await client.execute('query-status')) as CoordinatorStatus };
      } catch (error) {
        return { socket, error: asCurlingError(error, 'CURLING_CONNECT') };
      } finally {
        client?.close();
      }
    }),
  );
}
