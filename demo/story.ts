/**
 * The demo: a Linux guest is protected, loses its host twice, and a client outside keeps talking to it. Every step is
 * the real thing: QEMU, the programs as an operator starts them, SIGKILL and cut cables.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { QmpClient } from '../common/qmp/client.ts';
import { describeGuest } from '../coordinator/qemu/guest-description.ts';
import type { CoordinatorStatus, FailoverRecord } from '../coordinator/status.ts';
import { GUEST_ADDRESS } from '../lab/addresses.ts';
import { SERVICE_PORTS } from '../lab/client/control.ts';
import type { EchoSummary } from '../lab/client/echo.ts';
import type { Percentiles } from '../lab/client/round-trips.ts';
import { wallMs } from '../lab/client/wall-clock.ts';
import { ClientProcess } from '../lab/client-process.ts';
import { Deployment } from '../lab/deployment.ts';
import type { Instant } from '../lab/observer/gap-judge.ts';
import type { Verdict } from '../lab/observer/oracle.ts';
import { type Outcome, Traffic } from '../lab/traffic.ts';
import { addOutcome, type Facts, failoverFacts, type Percentile } from './facts.ts';
import type { Picture, Screen } from './view.ts';

const HOSTS = ['a', 'b', 'c'];
/** Rarely: every picture asks all coordinators, which are being measured. */
const DRAW_MS = 500;
/** After its cables are cut, the host lives on for so long: it must not speak when it should not. */
const CUT_OFF_MS = 1_000;
interface Failover {
  name: string;
  /** Wall clock of the end of the host. */
  atMs: number;
  record: FailoverRecord;
}

/** Echoes a second. */
const LIGHT_RATE = 10;

export class Story {
  readonly #screen: Screen;
  readonly #deployment: Deployment;
  readonly #startMs = performance.now();
  readonly #dead = new Set<string>();
  readonly #facts: Facts = emptyFacts();
  #phase = 'starting';
  #traffic: Traffic | undefined;
  #statuses = new Map<string, CoordinatorStatus>();
  #drawing: NodeJS.Timeout | undefined;

  private constructor(deployment: Deployment, screen: Screen) {
    this.#deployment = deployment;
    this.#screen = screen;
  }

  /** Tells the whole story in a new lab, which is removed unless `keep`. */
  static async tell(screen: Screen, keep: boolean): Promise<Facts> {
    screen.print('building the guest image and a lab of three hosts, a client and a witness');
    const deployment = await Deployment.create({ hosts: HOSTS, keep });
    const story = new Story(deployment, screen);
    try {
      if (screen.live) story.#drawing = setInterval(() => void story.#draw(), DRAW_MS);
      await story.#run();
      return story.#facts;
    } finally {
      clearInterval(story.#drawing);
      if (keep) screen.print(deployment.leave());
      else await deployment.destroy();
    }
  }

  async #run(): Promise<void> {
    const deployment = this.#deployment;
    this.#say('booting a Linux guest on host a');
    const guest = await deployment.startGuest('a');
    await this.#describe(guest.qmpPath);
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b', 'c'] });
    this.#facts.echoRttMs.unprotected = await this.#light(
      'unprotected: ten echoes a second',
      3_000,
    );
    this.#say('host b joins: protecting');
    await deployment.startCoordinator('b', { role: 'backup', peers: ['a', 'c'] });
    await deployment.untilProtected('a');
    this.#facts.echoRttMs.protected = await this.#light('protected: ten echoes a second', 5_000);
    const traffic = await this.#talk();
    const first = await this.#firstFailover(traffic);
    const second = await this.#secondFailover();
    const instants = [first, second].map(({ name, atMs }) => ({ name, atMs }));
    const outcome = await this.#hush(traffic, instants);
    this.#facts.echoRttMs.underLoad = percentile(outcome.echo.labels.load);
    this.#facts.failovers.push(failoverFacts('killed', first.atMs, first.record, outcome));
    this.#facts.failovers.push(failoverFacts('pulled', second.atMs, second.record, outcome));
  }

  async #firstFailover(traffic: Traffic): Promise<Failover> {
    const deployment = this.#deployment;
    this.#say('protected: records, compare-and-swap and echo all the time');
    await traffic.label('load');
    await sleep(5_000);
    await this.#countEpochs('a');
    await traffic.label('failovers');
    this.#say('killing host a: QEMU, coordinator and proxy, with SIGKILL');
    const atMs = wallMs();
    deployment.lab.kill('a');
    this.#dead.add('a');
    const record = await this.#failedOver('b');
    this.#say('the guest runs on from host b');
    await sleep(3_000);
    this.#verdict(await traffic.check());
    return { name: 'killed', atMs, record };
  }

  async #secondFailover(): Promise<Failover> {
    const deployment = this.#deployment;
    this.#say('host c joins: the survivor is protected again, while the client talks');
    await deployment.startCoordinator('c', { role: 'backup', peers: ['a', 'b'] });
    await deployment.untilProtected('b');
    this.#say('protected again, by host c');
    await sleep(4_000);
    await this.#countEpochs('b');
    this.#say('pulling the plug of host b: its cables first, then its power');
    const atMs = wallMs();
    await deployment.lab.cut('b');
    const [record] = await Promise.all([this.#failedOver('c'), this.#powerOff('b')]);
    this.#say('the guest runs on from host c');
    await sleep(3_000);
    return { name: 'pulled', atMs, record };
  }

  async #powerOff(host: string): Promise<void> {
    await sleep(CUT_OFF_MS);
    this.#deployment.lab.kill(host);
    this.#dead.add(host);
  }

  async #failedOver(host: string): Promise<FailoverRecord> {
    const ran = (status: CoordinatorStatus) => status.failovers.length > 0;
    const status = await this.#deployment.untilStatus(host, 'running the guest', ran, 20_000);
    const record = status.failovers.at(-1)!;
    const total = record.decisionMs + record.resumeMs;
    const how = `${record.reason}; checkpoint ${record.epoch} resumed ${total.toFixed(0)} ms after the suspicion`;
    this.#screen.print(`  host ${host}: ${how}`);
    return record;
  }

  /** Echo alone, and nobody captures: the round trip at light load. */
  async #light(phase: string, ms: number): Promise<Percentile> {
    this.#say(phase);
    const to = `${GUEST_ADDRESS}:${SERVICE_PORTS.echo}`;
    const args = ['--to', to, '--rate', String(LIGHT_RATE), '--progress', '0'];
    const client = await ClientProcess.start(this.#deployment.lab.client, 'echo', args);
    await client.ask('label light');
    await sleep(ms);
    const echo = (await client.stop()) as unknown as EchoSummary;
    if (echo.wrongBytes > 0) this.#facts.offences.push(`${echo.wrongBytes} wrong bytes of an echo`);
    return percentile(echo.labels.light);
  }

  async #talk(): Promise<Traffic> {
    const traffic = await Traffic.start(this.#deployment.lab);
    this.#traffic = traffic;
    return traffic;
  }

  /** Ends the traffic and adds the observer's verdict. */
  async #hush(traffic: Traffic, instants: Instant[]): Promise<Outcome> {
    this.#say('asking the observer what was seen outside');
    const outcome = await traffic.finish(instants);
    this.#traffic = undefined;
    addOutcome(this.#facts, outcome);
    this.#verdict(outcome.verdict);
    return outcome;
  }

  #verdict({ records, repeated, contradicted, uncommitted }: Verdict): void {
    const counts = `${repeated} repeated, ${contradicted} contradicted, ${uncommitted} uncommitted`;
    this.#screen.print(`  observer: ${records.records} records, ${counts}`);
  }

  async #countEpochs(host: string): Promise<void> {
    const status = await this.#deployment.status(host);
    if (!status) return;
    this.#facts.epochs += status.checkpoint.commitMs.count;
    const { p50, p99, max } = status.checkpoint.pauseMs;
    this.#facts.pauseMs = { p50, p99, max: Math.max(max, this.#facts.pauseMs.max) };
    this.#facts.checkpointBytes = status.checkpoint.bytesP50;
  }

  async #describe(qmpPath: string): Promise<void> {
    const qmp = await QmpClient.connect(qmpPath);
    const { qemuVersion, accel } = await describeGuest(qmp);
    qmp.close();
    this.#facts.qemu = qemuVersion;
    this.#facts.accel = accel;
  }

  #say(phase: string): void {
    this.#phase = phase;
    this.#screen.print(
      `  ${((performance.now() - this.#startMs) / 1000).toFixed(1).padStart(5)} s  ${phase}`,
    );
  }

  async #draw(): Promise<void> {
    for (const host of HOSTS) {
      const status = this.#dead.has(host) ? undefined : await this.#deployment.status(host);
      if (status) this.#statuses.set(host, status);
      else this.#statuses.delete(host);
    }
    this.#screen.draw(this.#picture());
  }

  #picture(): Picture {
    const echo = this.#traffic?.echo.latest.roundTrips as Percentiles | undefined;
    return {
      phase: this.#phase,
      elapsedS: (performance.now() - this.#startMs) / 1000,
      hosts: HOSTS.map(name => ({
        name,
        alive: !this.#dead.has(name),
        status: this.#statuses.get(name),
      })),
      echoP50Ms: echo?.p50Ms,
      records: this.#traffic?.recordsSeen ?? 0,
      compareAndSwaps: this.#traffic?.casSeen ?? 0,
    };
  }
}

function percentile(percentiles: Percentiles | undefined): Percentile {
  return { p50: percentiles?.p50Ms ?? 0, p99: percentiles?.p99Ms ?? 0 };
}

function emptyFacts(): Facts {
  const none = { p50: 0, p99: 0 };
  return {
    epochs: 0,
    repeated: 0,
    contradicted: 0,
    uncommitted: 0,
    connectionsLost: 0,
    inconclusive: [],
    offences: [],
    records: 0,
    compareAndSwaps: 0,
    pauseMs: { ...none, max: 0 },
    checkpointBytes: 0,
    echoRttMs: { protected: none, unprotected: none, underLoad: none },
    failovers: [],
    qemu: '',
    accel: '',
  };
}
