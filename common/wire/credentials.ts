/** What a program proves its host's name with, from its command line. */
import net from 'node:net';
import { CurlingError } from '../errors.ts';
import { type CommandLine, type OptionSpec, requiredText, type TcpAddress } from '../options.ts';
import { type Certificates, loadCertificates } from './certificates.ts';
import { type Keys, parseKeys } from './keys.ts';
import { readPrivateFile } from './private-file.ts';

/** Where a function takes `Credentials | undefined`, undefined means plaintext. */
export type Credentials =
  | { kind: 'keys'; keys: Keys /** Who we are, as a client. */; host?: string }
  | ({ kind: 'certificates' } & Certificates);

/** For the option tables of programs that speak TCP. */
export const WIRE_OPTIONS: Record<string, OptionSpec> = {
  keys: { type: 'string', value: 'FILE', help: 'keys of all hosts (curlingctl keygen): TLS' },
  'tls-cert': { type: 'string', value: 'FILE', help: "this host's certificate, instead of --keys" },
  'tls-key': { type: 'string', value: 'FILE', help: 'its private key' },
  'tls-ca': { type: 'string', value: 'FILE', help: 'the authority of all certificates' },
  plaintext: { type: 'boolean', help: 'neither encrypt nor authenticate, on any address' },
};

/** What the credentials are for. */
export interface WireUse {
  /** This host's name; undefined for the witness, which has none. */
  host?: string;
  /** What is listened on or connected to, by the option that says it. */
  addresses: readonly (readonly [option: string, address: TcpAddress])[];
}

/**
 * The credentials that a command line names; undefined for plaintext, which is for loopback
 * addresses, or for those who ask for it.
 * @throws CurlingError CURLING_USAGE for options that do not go together, or plaintext that nobody
 *   asked for; CURLING_KEYS for files that cannot be used.
 */
export function wireCredentials(
  values: CommandLine['values'],
  use: WireUse,
): Credentials | undefined {
  const tls = ['tls-cert', 'tls-key', 'tls-ca'].filter(name => values[name] !== undefined);
  const ways = [values.keys !== undefined, tls.length > 0, values.plaintext === true];
  if (ways.filter(Boolean).length > 1) {
    const text = 'expected one of --keys, --tls-cert with --tls-key and --tls-ca, --plaintext';
    throw new CurlingError('CURLING_USAGE', text);
  }
  if (values.keys !== undefined) {
    return loadKeys(requiredText('keys', values.keys), use.host);
  }
  if (tls.length > 0) {
    const [cert, key, ca] = ['tls-cert', 'tls-key', 'tls-ca'].map(name =>
      requiredText(name, values[name]),
    ) as [string, string, string];
    return { kind: 'certificates', ...loadCertificates({ cert, key, ca }, use.host) };
  }
  if (values.plaintext === true) return undefined;
  const open = use.addresses.find(([, address]) => !isLoopback(address.host));
  if (!open) return undefined;
  const [option, address] = open;
  const text =
    `--${option} ${address.host}: others can reach this address; ` +
    'give --keys FILE (curlingctl keygen makes one), certificates, or --plaintext';
  throw new CurlingError('CURLING_USAGE', text);
}

/**
 * Reads a key file.
 * @param host Who we are; it must have a key.
 * @throws CurlingError CURLING_KEYS
 */
export function loadKeys(file: string, host?: string): Credentials {
  const keys = parseKeys(readPrivateFile(file), file);
  if (keys.size === 0) throw new CurlingError('CURLING_KEYS', `${file} has no keys`);
  if (host === undefined) return { kind: 'keys', keys };
  if (keys.has(host)) return { kind: 'keys', keys, host };
  const known = [...keys.keys()].slice(0, 10).join(', ');
  const text = `${file} has no key of ${host}, this host; it has those of ${known}`;
  throw new CurlingError('CURLING_KEYS', text);
}

const LOOPBACK = new net.BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether nobody but this machine can be at, or reach, this address. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = net.isIP(host);
  return family !== 0 && LOOPBACK.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
