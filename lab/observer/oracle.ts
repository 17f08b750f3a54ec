/**
 * The oracle: from what left the hosts' ports, what clients sent, and what the surviving
 * execution remembers, it says whether the outside saw one machine. Pure: frames in the order of
 * their capture in, a verdict out.
 */

import { decodeRecord } from '../guest/record.ts';
import { type CasEvidence, type CasSummary, judgeCas } from './cas-judge.ts';
import {
  ETHER_TYPE,
  type EthernetFrame,
  IP_PROTOCOL,
  parseEthernet,
  parseIpv4,
  parseTcp,
  parseUdp,
} from './frames.ts';
import { type Gap, GapJudge, type Instant } from './gap-judge.ts';
import type { History } from './history.ts';
import { Offences } from './offences.ts';
import { judgeRecords, type RecordSummary } from './record-judge.ts';
import { RecordLedger } from './record-ledger.ts';
import { TcpJudge, type TcpSummary } from './tcp-judge.ts';

/** A frame as it came in on a port of the outer bridge. */
export interface CapturedFrame {
  port: string;
  /** Wall clock, milliseconds since 1970. */
  atMs: number;
  bytes: Buffer;
  /** Only a part of the frame was captured. */
  cut?: boolean;
}

export interface OracleOptions {
  guestIp: string;
  /** `aa:bb:cc:dd:ee:ff`; needed to know announcements (RARP) as the guest's. */
  guestMac: string;
  /** Further cards of the guest. Default none. */
  otherCards?: readonly { ip: string; mac: string }[];
  /** Ports behind which a host runs the guest: what comes in there, a host has let out. */
  hostPorts: readonly string[];
  /** Ports behind which clients are; without them acknowledgements cannot be judged. */
  clientPorts?: readonly string[];
  /** Instants around which the guest's silence is measured. */
  instants?: readonly Instant[];
}

export interface Evidence {
  /** Of the records service, after it was stopped. */
  history?: History;
  cas?: CasEvidence;
  /** Why the captures are not complete, if they are not. */
  incomplete?: readonly string[];
}

export interface Verdict {
  /** Conclusive, and nothing wrong: 0 / 0 / 0 and no connection lost. */
  clean: boolean;
  /** Why the counts below may be too low; empty: they are exact. */
  inconclusive: string[];
  /** The same record left a host twice. */
  repeated: number;
  /**
   * One record, TCP byte or compare-and-swap with two contents; acknowledgements and resets out
   * of nowhere.
   */
  contradicted: number;
  /** Said outside by a state that did not survive. */
  uncommitted: number;
  /** Connections that the guest itself lost. */
  connectionsLost: number;
  records: RecordSummary;
  tcp: TcpSummary;
  cas: CasSummary | undefined;
  gaps: Gap[];
  /** Frames of the guest by host port. */
  frames: Record<string, number>;
  /** The first offences of each kind, in words. */
  offences: string[];
}

export class Oracle {
  readonly #hostPorts: Set<string>;
  readonly #clientPorts: Set<string>;
  readonly #ips: ReadonlySet<string>;
  readonly #macs: ReadonlySet<string>;
  readonly #offences = new Offences();
  readonly #ledger = new RecordLedger(1 << 20, this.#offences);
  readonly #tcp = new TcpJudge(this.#offences);
  readonly #gaps: GapJudge;
  readonly #frames: Record<string, number> = {};
  #cut = 0;

  constructor(options: OracleOptions) {
    this.#hostPorts = new Set(options.hostPorts);
    this.#clientPorts = new Set(options.clientPorts);
    const others = options.otherCards ?? [];
    this.#ips = new Set([options.guestIp, ...others.map(({ ip }) => ip)]);
    this.#macs = new Set([options.guestMac, ...others.map(({ mac }) => mac)]);
    this.#gaps = new GapJudge(options.instants ?? []);
  }

  /** Takes the next frame; the frames of all ports in the order of their time. */
  see(frame: CapturedFrame): void {
    const ethernet = parseEthernet(frame.bytes);
    if (!ethernet) return;
    const fromHost = this.#hostPorts.has(frame.port);
    if (fromHost && this.#macs.has(ethernet.source)) this.#guestFrame(frame, ethernet);
    else if (this.#clientPorts.has(frame.port)) this.#clientFrame(frame, ethernet);
  }

  /** The judgement of all frames; to be asked for once. */
  verdict(evidence: Evidence): Verdict {
    const records = judgeRecords(this.#ledger, evidence.history, this.#offences);
    const cas = evidence.cas ? judgeCas(evidence.cas, this.#offences) : undefined;
    const tcp = this.#tcp.summary();
    const inconclusive = this.#doubts(evidence, records, tcp, cas);
    const repeated = records.repeated;
    const contradicted = records.contradicted + tcp.contradicted + (cas?.contradicted ?? 0);
    const uncommitted = records.uncommitted + (cas?.uncommitted ?? 0);
    const connectionsLost = cas?.connectionsLost ?? 0;
    const offences = repeated + contradicted + uncommitted + connectionsLost;
    return {
      clean: inconclusive.length === 0 && offences === 0,
      inconclusive,
      repeated,
      contradicted,
      uncommitted,
      connectionsLost,
      records,
      tcp,
      cas,
      gaps: this.#gaps.gaps(),
      frames: { ...this.#frames },
      offences: this.#offences.texts(),
    };
  }

  #guestFrame(frame: CapturedFrame, ethernet: EthernetFrame): void {
    const { port, atMs } = frame;
    this.#frames[port] = (this.#frames[port] ?? 0) + 1;
    if (frame.cut) this.#cut++;
    const isIp = ethernet.etherType === ETHER_TYPE.ipv4;
    const isRarp = ethernet.etherType === ETHER_TYPE.rarp;
    this.#gaps.see(isIp ? 'ip' : isRarp ? 'rarp' : 'other', port, atMs);
    const packet = isIp ? parseIpv4(ethernet.payload) : undefined;
    if (!packet || !this.#ips.has(packet.source)) return;
    if (packet.protocol === IP_PROTOCOL.udp) {
      const datagram = parseUdp(packet.payload);
      const record = datagram && decodeRecord(datagram.payload);
      if (record) this.#ledger.see(record, port, atMs);
    } else if (packet.protocol === IP_PROTOCOL.tcp) {
      const segment = parseTcp(packet.payload);
      if (segment) this.#tcp.guest(segment, packet.destination, port, atMs);
    }
  }

  #clientFrame(frame: CapturedFrame, ethernet: EthernetFrame): void {
    if (ethernet.etherType !== ETHER_TYPE.ipv4) return;
    const packet = parseIpv4(ethernet.payload);
    if (!packet || !this.#ips.has(packet.destination) || packet.protocol !== IP_PROTOCOL.tcp)
      return;
    if (frame.cut) this.#cut++;
    const segment = parseTcp(packet.payload);
    if (segment) this.#tcp.client(segment, packet.source);
  }

  #doubts(
    evidence: Evidence,
    records: RecordSummary,
    tcp: TcpSummary,
    cas: CasSummary | undefined,
  ): string[] {
    const doubts = [...(evidence.incomplete ?? [])];
    const doubt = (count: number, text: string) => {
      if (count > 0) doubts.push(`${count} ${text}`);
    };
    if (records.records > 0 && !evidence.history)
      doubts.push("the survivor's history of records is missing");
    doubt(records.unjudged, "records are older than the survivor's history");
    doubt(cas?.unjudged ?? 0, "compare-and-swaps are older than the survivor's history");
    doubt(tcp.unjudgedBytes, 'TCP bytes were too far back to be compared');
    doubt(tcp.untracked, 'TCP connections were too many to be followed');
    doubt(this.#cut, 'frames were not captured whole');
    return doubts;
  }
}
