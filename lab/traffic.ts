/**
 * What the outside does with the guest, and what it sees: records, echo, compare-and-swap, and captures of every host's
 * port for the oracle.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError, messageOf } from '../common/errors.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import {
  CLIENT_ADDRESS,
  GUEST_ADDRESS,
  GUEST_MAC,
  guestMac,
  SECOND_CLIENT_ADDRESS,
  SECOND_GUEST_ADDRESS,
} from './addresses.ts';
import { SERVICE_PORTS } from './client/control.ts';
import type { EchoSummary } from './client/echo.ts';
import { ClientProcess } from './client-process.ts';
import type { Lab } from './lab.ts';
import { type Capture, startCapture } from './observer/capture.ts';
import type { CasGuestStatus, CasLogEntry } from './observer/cas-judge.ts';
import type { Instant } from './observer/gap-judge.ts';
import { parseHistory } from './observer/history.ts';
import { hasComeTo, observe } from './observer/observe.ts';
import type { Evidence, OracleOptions, Verdict } from './observer/oracle.ts';

const RECORDS_PORT = 5000;
const CAS_PORT = 5001;
/** The longest frame that a segmenting card is given; a ring of this size has room for a thousand of them. */
const FRAME_BYTES_MAX = 65_600;
const CAPTURE_KIB = 65_536;
/** A busy machine writes captures late. */
const CAPTURE_MS_MAX = 10_000;
/** What the lab itself asks the guest, in long answers, is not observed. */
const NOT_CONTROL = 'not tcp portrange 1000-1004';

export interface TrafficOptions {
  /** Records per second; 0 for none. Default 200. */
  recordsRate?: number;
  /** Echo round trips per second. Default 50. */
  echoRate?: number;
  /** Microseconds between two compare-and-swaps; 0 for none. Default 20,000. */
  casIntervalUs?: number;
  /** Pages dirtied per second over 16 MiB; 0 for none. Default 0. */
  dirtyRate?: number;
  /** Records leave by the guest's second card, everything else by the first one. Default false: all by the first. */
  secondCard?: boolean;
  /** Further traffic that the observer does not see, as a pcap-filter(7) expression. */
  notCaptured?: string;
}

/** What the outside saw, from the first frame to the last. */
export interface Outcome {
  verdict: Verdict;
  echo: EchoSummary;
}

export class Traffic {
  readonly echo: ClientProcess;
  readonly #lab: Lab;
  readonly #options: Required<TrafficOptions>;
  readonly #control: ClientProcess;
  readonly #records: ClientProcess;
  readonly #cas: ClientProcess;
  readonly #captures: Capture[];
  readonly #casLog: string;
  /** What the guest had done before, with another register. */
  #casBefore: CasGuestStatus | undefined;

  private constructor(
    lab: Lab,
    options: Required<TrafficOptions>,
    parts: {
      echo: ClientProcess;
      control: ClientProcess;
      records: ClientProcess;
      cas: ClientProcess;
      captures: Capture[];
    },
  ) {
    this.#lab = lab;
    this.#options = options;
    this.echo = parts.echo;
    this.#control = parts.control;
    this.#records = parts.records;
    this.#cas = parts.cas;
    this.#captures = parts.captures;
    this.#casLog = casLogOf(lab);
  }

  /** Starts captures first, then everything that talks. */
  static async start(lab: Lab, options: TrafficOptions = {}): Promise<Traffic> {
    const { notCaptured = '' } = options;
    const full = {
      notCaptured,
      secondCard: false,
      recordsRate: 200,
      echoRate: 50,
      casIntervalUs: 20_000,
      dirtyRate: 0,
      ...options,
    };
    const ports = [...lab.hosts.map(host => lab.lan.port(host.name)), lab.lan.port('client')];
    const captures = await Promise.all(
      ports.map(port =>
        startCapture({
          spawn: (program, args) =>
            lab.lan.spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] }),
          port,
          file: join(lab.lan.runDir, `${port}.pcap`),
          frameBytesMax: FRAME_BYTES_MAX,
          bufferKib: CAPTURE_KIB,
          filter: notCaptured ? `${NOT_CONTROL} and not (${notCaptured})` : NOT_CONTROL,
        }),
      ),
    );
    const { client } = lab;
    const records = await ClientProcess.start(client, 'records', [
      ...['--listen', `${recordsAddress(full.secondCard)}:${RECORDS_PORT}`],
    ]);
    const cas = await ClientProcess.start(client, 'cas-server', [
      ...['--listen', `${CLIENT_ADDRESS}:${CAS_PORT}`, '--log', casLogOf(lab)],
    ]);
    const control = await ClientProcess.start(client, 'control', ['--guest', GUEST_ADDRESS]);
    const echo = await ClientProcess.start(client, 'echo', [
      ...['--to', `${GUEST_ADDRESS}:${SERVICE_PORTS.echo}`, '--rate', String(full.echoRate)],
      ...['--progress', '200'],
    ]);
    const traffic = new Traffic(lab, full, { echo, control, records, cas, captures });
    if (full.casIntervalUs > 0) traffic.#casBefore = await traffic.#casStatus();
    await traffic.#begin();
    return traffic;
  }

  /**
   * Says something to the guest's services; see lab/guest/workload.c.
   * @throws CurlingError CURLING_COMMAND_FAILED with what the guest or the connection to it said, CURLING_TIMEOUT
   */
  async tellGuest(command: string): Promise<JsonObject> {
    const answer = await this.#control.ask(command);
    if (typeof answer.error !== 'string') return answer;
    throw new CurlingError('CURLING_COMMAND_FAILED', `${command}: ${answer.error}`);
  }

  /** Round trips from now on are counted under this name. */
  label(name: string): Promise<JsonObject> {
    return this.echo.ask(`label ${name}`);
  }

  get recordsSeen(): number {
    return Number(this.#records.latest.records ?? 0);
  }

  get casSeen(): number {
    return Number(this.#cas.latest.operations ?? 0);
  }

  /** What the outside has seen so far: records and compare-and-swaps pause for it, echo goes on. */
  async check(instants: readonly Instant[] = []): Promise<Verdict> {
    await this.#pause();
    const evidence = await this.#evidence();
    const untilMs = await this.#captured();
    const files = this.#captures.map(({ port, file }) => ({ port, file, captured: 0, dropped: 0 }));
    const verdict = await observe(files, this.#oracleOptions(instants), evidence, untilMs);
    await this.#begin();
    return verdict;
  }

  /** Ends all traffic and asks the oracle about everything that was seen outside since the start. */
  async finish(instants: readonly Instant[] = []): Promise<Outcome> {
    const evidence = await this.#lastEvidence();
    const echo = (await this.echo.stop()) as unknown as EchoSummary;
    await Promise.all([this.#control.stop(), this.#records.stop(), this.#cas.stop()]);
    const captures = await Promise.all(this.#captures.map(capture => capture.stop()));
    const verdict = await observe(captures, this.#oracleOptions(instants), evidence);
    return { verdict, echo };
  }

  /**
   * Waits until what the client said up to now is in its capture's file, and returns this moment: an answer that was seen
   * without its question would look invented. What a host's port shows later is read the next time.
   */
  async #captured(): Promise<number> {
    const untilMs = Date.now();
    const own = this.#lab.lan.port('client');
    const { port, file } = this.#captures.find(capture => capture.port === own)!;
    const deadline = performance.now() + CAPTURE_MS_MAX;
    while (!(await hasComeTo(port, file, untilMs))) {
      if (performance.now() > deadline)
        throw new CurlingError(
          'CURLING_TIMEOUT',
          `the capture of ${port} is ${CAPTURE_MS_MAX} ms late`,
        );
      await sleep(50);
    }
    return untilMs;
  }

  #oracleOptions(instants: readonly Instant[]): OracleOptions {
    const { lan, hosts } = this.#lab;
    return {
      guestIp: GUEST_ADDRESS,
      guestMac: GUEST_MAC,
      otherCards: this.#options.secondCard ? [{ ip: SECOND_GUEST_ADDRESS, mac: guestMac(1) }] : [],
      hostPorts: hosts.map(host => lan.port(host.name)),
      clientPorts: [lan.port('client')],
      instants,
    };
  }

  async #pause(): Promise<void> {
    const { recordsRate, casIntervalUs } = this.#options;
    if (recordsRate > 0) await this.tellGuest('records stop');
    if (casIntervalUs > 0) await this.tellGuest('cas stop');
  }

  /** What the guest remembers; a guest that does not answer any more leaves the verdict inconclusive. */
  async #lastEvidence(): Promise<Evidence> {
    try {
      await this.#pause();
      return await this.#evidence();
    } catch (error) {
      return { incomplete: [`the guest does not answer: ${messageOf(error)}`] };
    }
  }

  async #evidence(): Promise<Evidence> {
    const { recordsRate, casIntervalUs } = this.#options;
    const evidence: Evidence = {};
    if (recordsRate > 0) evidence.history = historyOf(await this.tellGuest('records history'));
    if (casIntervalUs > 0) evidence.cas = await this.#casEvidence();
    return evidence;
  }

  async #begin(): Promise<void> {
    const { recordsRate, casIntervalUs, dirtyRate } = this.#options;
    if (recordsRate > 0) {
      const to = recordsAddress(this.#options.secondCard);
      await this.tellGuest(`records start ${recordsRate} ${to} ${RECORDS_PORT}`);
    }
    if (casIntervalUs > 0) {
      await this.tellGuest(`cas start ${CLIENT_ADDRESS} ${CAS_PORT} ${casIntervalUs}`);
    }
    if (dirtyRate > 0) await this.tellGuest(`dirty start ${dirtyRate} 16`);
  }

  async #casEvidence() {
    const history = historyOf(await this.tellGuest('cas history'));
    const status = await this.#casStatus();
    const log = readFileSync(this.#casLog, 'utf8')
      .split('\n')
      .filter(line => line.length > 0)
      .map(line => JSON.parse(line) as CasLogEntry);
    return { history, status, log, ...(this.#casBefore ? { before: this.#casBefore } : {}) };
  }

  async #casStatus(): Promise<CasGuestStatus> {
    return (await this.tellGuest('cas status')) as unknown as CasGuestStatus;
  }
}

/** Where the client takes records. */
function recordsAddress(secondCard: boolean): string {
  return secondCard ? SECOND_CLIENT_ADDRESS : CLIENT_ADDRESS;
}

function casLogOf(lab: Lab): string {
  return join(lab.client.runDir, 'cas.log');
}

function historyOf(answer: JsonObject) {
  return parseHistory(answer, Buffer.from(String(answer.nonces), 'hex'));
}
