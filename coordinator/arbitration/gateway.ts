/**
 * Whether a gateway was reachable just now: the bookkeeping of echo requests and their answers.
 * Pure: `now` comes in.
 *
 * A host that reaches no gateway would not be heard outside, so it must not ask for the grant to run
 * the machine alone. That is all that reachability is good for: it is true when tested and false when
 * acted on, and both hosts can have it at once. Which host runs is decided by the register.
 *
 * An answer counts only if it carries the payload of a request that is still outstanding, which is
 * random: nobody who did not see the request can answer it, and an answer that took longer than
 * `freshMs` proves nothing about now.
 *
 * Invariant: at most `OUTSTANDING_MAX` requests are outstanding for each gateway, with rising times.
 */
import assert from 'node:assert/strict';

export const OUTSTANDING_MAX = 16;

export interface GatewayOptions {
  /** How long an answer proves that a gateway is there. Milliseconds, default 1,000. */
  freshMs?: number;
}

interface Outstanding {
  readonly token: string;
  readonly sentAt: number;
}

interface Gateway {
  /** The sending time of the newest request that was answered. */
  answeredAt: number;
  outstanding: Outstanding[];
}

export class GatewayMonitor {
  readonly freshMs: number;
  readonly counters = { sent: 0, answered: 0, strange: 0, forgotten: 0 };
  readonly #gateways = new Map<string, Gateway>();

  /** @param addresses At least one. */
  constructor(addresses: readonly string[], options: GatewayOptions = {}) {
    assert(addresses.length > 0, 'a gateway is named');
    this.freshMs = options.freshMs ?? 1_000;
    for (const address of addresses)
      this.#gateways.set(address, { answeredAt: Number.NEGATIVE_INFINITY, outstanding: [] });
  }

  get addresses(): readonly string[] {
    return [...this.#gateways.keys()];
  }

  /** A request with this payload goes to `address`. The oldest of too many is forgotten. */
  sent(address: string, token: string, now: number): void {
    const gateway = this.#gateways.get(address);
    assert(gateway, `${address} is no gateway`);
    this.counters.sent++;
    gateway.outstanding.push({ token, sentAt: now });
    if (gateway.outstanding.length > OUTSTANDING_MAX) {
      gateway.outstanding.shift();
      this.counters.forgotten++;
    }
  }

  /**
   * An answer with this payload came from `address`, which may be anybody. True when it answers a
   * request; that one and those before it are settled.
   */
  answered(address: string, token: string, now: number): boolean {
    const gateway = this.#gateways.get(address);
    const at = gateway?.outstanding.findIndex(request => request.token === token) ?? -1;
    if (!gateway || at < 0) {
      this.counters.strange++;
      return false;
    }
    const { sentAt } = gateway.outstanding[at]!;
    assert(sentAt <= now, 'an answer comes after its request');
    gateway.answeredAt = Math.max(gateway.answeredAt, sentAt);
    gateway.outstanding.splice(0, at + 1);
    this.counters.answered++;
    return true;
  }

  /** Whether any gateway has answered a request that was sent within the last `freshMs`. */
  reachable(now: number): boolean {
    for (const { answeredAt } of this.#gateways.values())
      if (now - answeredAt <= this.freshMs) return true;
    return false;
  }

  /** When the newest request was sent that was answered, of any gateway; -Infinity for none. */
  get answeredAt(): number {
    return Math.max(...[...this.#gateways.values()].map(gateway => gateway.answeredAt));
  }

  /** For an operator: who does not answer. */
  get text(): string {
    return silenceText(this.addresses);
  }
}

/** For an operator: none of these answers. */
export function silenceText(addresses: readonly string[]): string {
  return addresses.length === 1
    ? `gateway ${addresses[0]} does not answer`
    : `none of the gateways ${addresses.join(', ')} answers`;
}
