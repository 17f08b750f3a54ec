/** Where a coordinator's register is: in a curling-witness or in etcd, which look the same from here on. */
import assert from 'node:assert/strict';
import type { CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import type { EtcdConfig } from './etcd-options.ts';
import { EtcdRegister } from './etcd-register.ts';
import type { RegisterBackend } from './register.ts';
import { WitnessClient } from './witness-client.ts';

/** A register that is reached over the network, and how that goes. */
export interface RegisterSource extends RegisterBackend {
  /** Whether it was there when it was last needed. */
  readonly connected: boolean;
  /** Why the last attempt to reach it or to ask failed; undefined since one succeeded. */
  readonly lastError: CurlingError | undefined;
  readonly counters: {
    readonly requests: number;
    readonly failures: number;
    readonly connections: number;
    readonly connectFailures: number;
  };
  /** Ends every connection and every request under way. */
  close(): void;
}

/** Exactly one of `witness` and `etcd` is set. */
export interface RegisterConfig {
  readonly witness: TcpAddress | undefined;
  readonly etcd: EtcdConfig | undefined;
  /** The store that must be found there; undefined accepts the first one seen. */
  readonly witnessStore: string | undefined;
  /** What proves this host to a witness; undefined: plaintext. etcd has its own. */
  readonly credentials?: Credentials | undefined;
}

/** Opens the register that is configured; it is reached when it is asked. */
export function openRegister(config: RegisterConfig): RegisterSource {
  const { witness, etcd, witnessStore, credentials } = config;
  const options = witnessStore === undefined ? {} : { store: witnessStore };
  if (etcd) return new EtcdRegister(etcd, options);
  assert(witness, 'a register is configured');
  return new WitnessClient(witness, { ...options, credentials });
}
