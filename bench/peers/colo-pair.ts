/** QEMU's own COLO between two QEMUs on the hosts of a lab (colo-plan.ts has the picture). */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError, messageOf } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import type { GuestImage } from '../../lab/image.ts';
import type { Lab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/node.ts';
import { guestArguments, startGuest } from '../../lab/qemu.ts';
import { NotRunnable } from '../scenario.ts';
import * as plan from './colo-plan.ts';
import { PauseMeter } from './pauses.ts';

const START_MS_MAX = 30_000;
const COMMAND_MS_MAX = 20_000;
const LOG_LINES = 6;
/** While the pair is set up. */
const FIRST_DELAY_MS = 500;

interface MigrationStatus {
  status?: string;
  'error-desc'?: string;
}

export class ColoPair {
  readonly pauses = new PauseMeter();
  readonly #primary: LabHost;
  readonly #secondary: LabHost;
  readonly #primaryQmp: QmpClient;
  readonly #secondaryQmp: QmpClient;

  private constructor(lab: Lab, primaryQmp: QmpClient, secondaryQmp: QmpClient) {
    this.#primary = lab.host('a');
    this.#secondary = lab.host('b');
    this.#primaryQmp = primaryQmp;
    this.#secondaryQmp = secondaryQmp;
    primaryQmp.on('event', event => this.pauses.see(event));
  }

  /**
   * Boots a guest on host a, has it protected by a second QEMU on host b, and returns when the first
   * checkpoint is done.
   * @throws NotRunnable with QEMU's own words when it does not come so far
   */
  static async start(lab: Lab, image: GuestImage): Promise<ColoPair> {
    const [a, b] = [lab.host('a'), lab.host('b')];
    const { qmpPath, process } = await startGuest(a, { image });
    const other = await startSecondary(b, image);
    const clients: QmpClient[] = [];
    try {
      for (const path of [qmpPath, other.qmpPath])
        clients.push(await QmpClient.connect(path, { commandTimeoutMs: COMMAND_MS_MAX }));
      const [primary, secondary] = clients as [QmpClient, QmpClient];
      const uri = `unix:${join(b.runDir, 'colo.sock')}`;
      await carryOut(
        primary,
        plan.primaryCommands({ address: a.replicationAddress, runDir: a.runDir }),
      );
      await carryOut(secondary, plan.secondaryCommands(a.replicationAddress));
      await carryOut(secondary, plan.migrationCommands(FIRST_DELAY_MS));
      await secondary.execute('migrate-incoming', { uri });
      await carryOut(primary, plan.migrationCommands(FIRST_DELAY_MS));
      await primary.execute('migrate', { uri });
      const pair = new ColoPair(lab, primary, secondary);
      await pair.untilCheckpoint();
      return pair;
    } catch (error) {
      for (const client of clients) client.close();
      for (const child of [process, other.process]) child.kill('SIGKILL');
      const said = [a, b].map(host => `${host.name}: ${lastLines(host.logPath('qemu'))}`);
      throw new NotRunnable(`COLO: ${messageOf(error)}; QEMU on ${said.join('; on ')}`);
    }
  }

  /** x-checkpoint-delay, in milliseconds; also raises a checkpoint. */
  setDelay(delayMs: number): Promise<void> {
    return carryOut(this.#primaryQmp, [plan.delayCommand(delayMs)]);
  }

  /** @throws CurlingError with the migration's state and QEMU's last words when it does not run any more */
  async checkAlive(): Promise<void> {
    const { status } = (await this.#primaryQmp.execute('query-migrate')) as MigrationStatus;
    if (status === 'colo' && !this.#secondaryQmp.closedBy) return;
    const said = `its QEMUs said ${this.#primarySaid()}; ${this.secondarySaid()}`;
    throw new CurlingError('CURLING_CONNECTION_LOST', `COLO ended, ${status}; ${said}`);
  }

  /** Returns when a checkpoint that began after now is done; forgets the pauses so far. */
  async untilCheckpoint(): Promise<void> {
    this.pauses.forget();
    await until(async () => {
      const answer = (await this.#primaryQmp.execute('query-migrate')) as MigrationStatus;
      const { status = 'none' } = answer;
      if (status === 'failed' || status === 'completed' || status === 'cancelled')
        throw new CurlingError(
          'CURLING_QEMU_START',
          `the migration is ${status}: ${answer['error-desc'] ?? 'no reason given'}`,
        );
      return status === 'colo' && this.pauses.take().length > 0;
    }, 'a checkpoint is taken');
  }

  /** The steps of docs/COLO-FT.txt for a primary that died; returns when the secondary's guest runs. */
  async failOver(): Promise<void> {
    await carryOut(this.#secondaryQmp, plan.failoverCommands());
    await until(async () => {
      const status = (await this.#secondaryQmp.execute('query-status')) as { running: boolean };
      return status.running;
    }, 'the secondary runs');
    await this.#secondaryQmp.execute('announce-self', {
      initial: 50,
      max: 550,
      rounds: 5,
      step: 100,
    });
  }

  /** The last that the secondary's QEMU wrote. */
  secondarySaid(): string {
    return lastLines(this.#secondary.logPath('qemu'));
  }

  #primarySaid(): string {
    return lastLines(this.#primary.logPath('qemu'));
  }

  close(): void {
    this.#primaryQmp.close();
    this.#secondaryQmp.close();
  }
}

async function startSecondary(
  host: LabHost,
  image: GuestImage,
): Promise<{ process: ChildProcess; qmpPath: string }> {
  const qmpPath = join(host.runDir, 'qmp.sock');
  rmSync(qmpPath, { force: true });
  const [program, ...args] = guestArguments(host, { image });
  args.push('-incoming', 'defer', '-qmp', `unix:${qmpPath},server=on,wait=off`);
  const process = host.spawn(program!, args, { log: 'qemu' });
  await until(async () => existsSync(qmpPath) || process.exitCode !== null, 'QEMU has a monitor');
  return { process, qmpPath };
}

async function carryOut(client: QmpClient, commands: readonly plan.Command[]): Promise<void> {
  for (const command of commands) await client.execute(command.execute, command.arguments);
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + START_MS_MAX;
  while (!(await holds())) {
    if (performance.now() > deadlineMs)
      throw new CurlingError('CURLING_TIMEOUT', `not within ${START_MS_MAX} ms: ${what}`);
    await sleep(5);
  }
}

function lastLines(path: string): string {
  if (!existsSync(path)) return 'nothing';
  const lines = readFileSync(path, 'latin1').trim().split(/\r?\n/);
  return lines.slice(-LOG_LINES).join(' | ') || 'nothing';
}
