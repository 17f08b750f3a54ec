/**
 * The soak: one protected guest under full load for as long as wanted. The observer judges segment by segment, so that its
 * memory does not grow; one long transfer goes over one connection all the time; a sample of every process is taken each
 * second.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../common/errors.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { GUEST_ADDRESS } from '../../lab/addresses.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { ClientProcess } from '../../lab/client-process.ts';
import { Deployment } from '../../lab/deployment.ts';
import { Traffic } from '../../lab/traffic.ts';
import { addSegment, addText, noFacts, type SoakFacts } from './facts.ts';
import { makeFault, SOAK_FAULTS } from './faults.ts';
import { Sampler } from './sampler.ts';
import { SOAK_FLAGS } from './settings.ts';

export interface SoakOptions {
  durationS: number;
  seed: number;
  segmentS: number;
  /** Between the end of one fault and the next; undefined: none. */
  faultsEveryS: number | undefined;
  /** Ends the soak early, with its report. */
  signal: AbortSignal;
  say(line: string): void;
}

/** As much as a guest under emulation can say beside a transfer that never ends. */
const LOAD = {
  recordsRate: 500,
  echoRate: 50,
  casIntervalUs: 20_000,
  dirtyRate: 500,
  notCaptured: `tcp port ${SERVICE_PORTS.bulk}`,
};
const SAMPLE_MS = 1_000;

export class Soak {
  readonly facts: SoakFacts;
  readonly sampler: Sampler;
  readonly #deployment: Deployment;
  readonly #options: SoakOptions;
  readonly #bulk: ClientProcess;
  readonly #startMs = performance.now();
  #traffic: Traffic | undefined;
  #primary = 'a';
  #epochBefore = 0;
  #faultMade = 0;
  #faultEndedS = 0;
  #over = false;

  private constructor(deployment: Deployment, options: SoakOptions, bulk: ClientProcess) {
    this.#deployment = deployment;
    this.#options = options;
    this.#bulk = bulk;
    this.facts = noFacts(options.seed);
    this.sampler = new Sampler(deployment);
  }

  /**
   * Runs one soak to its end; the lab is gone on return.
   * @throws CurlingError as Deployment.create, or when the guest cannot be protected at all
   */
  static async run(options: SoakOptions): Promise<Soak> {
    const deployment = await Deployment.create();
    try {
      await deployment.startGuest('a');
      const primary = { role: 'primary', peers: ['b'], flags: SOAK_FLAGS } as const;
      await deployment.startCoordinator('a', primary);
      const backup = { role: 'backup', peers: ['a'], flags: SOAK_FLAGS } as const;
      await deployment.startCoordinator('b', backup);
      await deployment.untilProtected('a');
      const soak = new Soak(deployment, options, await startBulk(deployment, options.seed));
      await soak.#run();
      return soak;
    } finally {
      await deployment.destroy();
    }
  }

  get #atS(): number {
    return (performance.now() - this.#startMs) / 1_000;
  }

  get #ended(): boolean {
    return this.#atS >= this.#options.durationS || this.#options.signal.aborted;
  }

  async #run(): Promise<void> {
    this.#takeEvents(true);
    this.#epochBefore = (await this.#deployment.untilProtected('a')).epoch.taken;
    const sampling = this.#sampleOn();
    try {
      while (!this.#ended) await this.#segment();
    } catch (error) {
      addText(this.facts, messageOf(error));
    }
    this.#over = true;
    await sampling;
    this.#takeEvents(false);
    await this.#finish();
  }

  async #segment(): Promise<void> {
    const { segmentS, say } = this.#options;
    this.#traffic = await Traffic.start(this.#deployment.lab, LOAD);
    const untilS = this.#atS + segmentS;
    while (!this.#ended && this.#atS < untilS) {
      await sleep(SAMPLE_MS / 4);
      if (this.#faultDue) await this.#fault();
      else this.#takeEvents(false);
    }
    const traffic = this.#traffic;
    this.#traffic = undefined;
    addSegment(this.facts, await traffic.finish());
    const { segments, records, compareAndSwaps, repeated, contradicted, uncommitted } = this.facts;
    const bad = repeated + contradicted + uncommitted;
    const seen = `${records} records, ${compareAndSwaps} compare-and-swaps, ${bad} violations`;
    say(`${this.#atS.toFixed(0)} s: segment ${segments}, ${seen}`);
  }

  get #faultDue(): boolean {
    const { faultsEveryS } = this.#options;
    return faultsEveryS !== undefined && this.#atS >= this.#faultEndedS + faultsEveryS;
  }

  async #fault(): Promise<void> {
    const { seed, say } = this.#options;
    this.#takeEvents(false);
    // Each kind comes once in a round; the seed says with which it begins.
    const fault = SOAK_FAULTS[(seed + this.#faultMade++) % SOAK_FAULTS.length]!;
    say(`${this.#atS.toFixed(0)} s: ${fault}, with the guest on ${this.#primary}`);
    this.#primary = await makeFault(this.#deployment, fault, this.#primary);
    this.facts.faults[fault]++;
    this.#takeEvents(true);
    this.#faultEndedS = this.#atS;
  }

  /** Counts what the coordinators told since the last time; `provoked`: a fault was made meanwhile. */
  #takeEvents(provoked: boolean): void {
    for (const { event, host, data } of this.#deployment.events.splice(0)) {
      if (event !== 'FAILED_OVER' && event !== 'PROTECTION_LOST') continue;
      if (event === 'FAILED_OVER') this.facts.failovers++;
      if (provoked) continue;
      if (event === 'FAILED_OVER') this.facts.failoversUnprovoked++;
      else this.facts.protectionsLostUnprovoked++;
      addText(this.facts, `${event} on ${host} without a fault: ${String(data?.reason)}`);
    }
  }

  async #sampleOn(): Promise<void> {
    while (!this.#over) {
      const echo = this.#traffic?.echo.latest.roundTrips as { p50Ms?: number } | undefined;
      const statuses = await this.#statuses();
      this.sampler.sample(this.#atS, statuses, echo?.p50Ms);
      const newest = Math.max(0, ...statuses.map(({ epoch }) => epoch.taken));
      this.facts.epochs = Math.max(this.facts.epochs, newest - this.#epochBefore);
      await sleep(SAMPLE_MS);
    }
  }

  async #statuses(): Promise<CoordinatorStatus[]> {
    const hosts = this.#deployment.lab.hosts.map(host => this.#deployment.status(host.name));
    return (await Promise.all(hosts)).filter(status => status !== undefined);
  }

  async #finish(): Promise<void> {
    const { facts } = this;
    facts.durationS = this.#atS;
    facts.bulkLost = this.#bulk.lost ?? null;
    const summary = await this.#bulk.stop().catch(() => this.#bulk.latest);
    facts.bulkBytes = Number(summary.bytes ?? 0);
    facts.bulkWrongBytes = Number(summary.wrongBytes ?? 0);
  }
}

function startBulk({ lab }: Deployment, seed: number): Promise<ClientProcess> {
  return ClientProcess.start(lab.client, 'bulk', [
    ...['--to', `${GUEST_ADDRESS}:${SERVICE_PORTS.bulk}`, '--seed', String(seed)],
    ...['--bytes', String(Number.MAX_SAFE_INTEGER), '--progress', '1000'],
  ]);
}
