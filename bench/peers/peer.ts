/** One way to run the guest, in a lab of its own, and a client that measures it. */
import type { JsonObject } from '../../common/qmp/messages.ts';
import { GUEST_ADDRESS } from '../../lab/addresses.ts';
import { ClientProcess } from '../../lab/client-process.ts';
import type { Lab } from '../../lab/lab.ts';

/** How long the guest stood still at a time, in milliseconds. */
export interface Pauses {
  p50: number;
  p99: number;
}

/** What happened after the primary host's death was made known. */
export interface Takeover {
  /** From the death to the suspicion, in milliseconds; 0 for who is told. */
  detectionMs: number;
  /** From the suspicion, or from being told, to a running guest, in milliseconds. */
  resumeMs: number;
}

export interface Peer {
  readonly lab: Lab;
  /** Makes it be this variant. @throws CurlingError when it has died meanwhile */
  configure(variant: string): Promise<void>;
  /** Does as little as it can until it is configured again. */
  rest?(): Promise<void>;
  /** Those since `configure`, where its QEMU tells; undefined when the guest is never stopped. */
  pauses(): Promise<Pauses | undefined>;
  /** Host a was killed, at `killedMs` of the wall clock: takes over on host b. Undefined when it cannot. */
  takeOver(killedMs: number): Promise<Takeover | undefined>;
  /** Ends it and its lab. */
  close(): Promise<void>;
}

/** Asks build/bench/peers/probe.js in the client's namespace. */
export function startProbe(lab: Lab): Promise<ClientProcess> {
  const args = ['--guest', GUEST_ADDRESS, '--progress', '0'];
  return ClientProcess.start(lab.client, '../../bench/peers/probe', args);
}

/** An answer of the probe. @throws Error with what the probe said instead */
export async function ask(probe: ClientProcess, command: string): Promise<JsonObject> {
  const answer = await probe.ask(command);
  if (typeof answer.error === 'string') throw new Error(`${command}: ${answer.error}`);
  return answer;
}
