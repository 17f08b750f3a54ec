/** Where etcd is, as curling's programs are told on their command lines. */
import { readFileSync } from 'node:fs';
import { CurlingError, messageOf } from '../../common/errors.ts';
import type { CommandLine, OptionSpec } from '../../common/options.ts';
import { isLoopback } from '../../common/wire/credentials.ts';

/** Endpoints of one cluster; one store may be behind all of them. */
const ENDPOINTS_MAX = 9;

export interface EtcdConfig {
  /** Origins, `http:` or `https:`, all of one cluster; at least one. */
  readonly endpoints: readonly URL[];
  /** PEM, for https: who signed the servers' certificates, and who we are. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export const ETCD_OPTIONS = {
  etcd: {
    type: 'string',
    value: 'URL',
    multiple: true,
    help: 'an endpoint of etcd; may be repeated',
  },
  'etcd-ca': { type: 'string', value: 'FILE', help: "who signed etcd's certificates (PEM)" },
  'etcd-cert': { type: 'string', value: 'FILE', help: 'own certificate for etcd (PEM)' },
  'etcd-key': { type: 'string', value: 'FILE', help: 'its private key (PEM)' },
  'etcd-plaintext': { type: 'boolean', help: 'allow http beyond this machine' },
} as const satisfies Record<string, OptionSpec>;

/**
 * What the options say; undefined without `--etcd`. Reads the files.
 * @throws CurlingError CURLING_USAGE
 */
export function etcdConfig(values: CommandLine['values']): EtcdConfig | undefined {
  const { etcd } = values;
  const files = { ca: values['etcd-ca'], cert: values['etcd-cert'], key: values['etcd-key'] };
  const given = Object.entries(files).filter(([, file]) => file !== undefined);
  if (!Array.isArray(etcd) || etcd.length === 0) {
    if (given.length === 0) return undefined;
    throw usage(`--etcd-${given[0]?.[0]} needs --etcd URL`);
  }
  if (etcd.length > ENDPOINTS_MAX)
    throw usage(`--etcd: expected at most ${ENDPOINTS_MAX} endpoints, got ${etcd.length}`);
  const endpoints = etcd.map(text => endpoint(String(text), values['etcd-plaintext'] === true));
  const secure = endpoints.filter(({ protocol }) => protocol === 'https:').length;
  if (given.length > 0 && secure < endpoints.length)
    throw usage(`--etcd-${given[0]?.[0]} needs https endpoints only`);
  if ((files.cert === undefined) !== (files.key === undefined))
    throw usage('--etcd-cert and --etcd-key belong together');
  const read = given.map(([name, file]) => [name, contents(`etcd-${name}`, String(file))]);
  return { endpoints, ...Object.fromEntries(read) };
}

function endpoint(text: string, plaintext: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url?.protocol === 'http:';
  const bare =
    url && `${url.pathname}${url.search}${url.hash}${url.username}${url.password}` === '/';
  if (!url || !bare || !(plain || url.protocol === 'https:'))
    throw usage(`--etcd: expected http://HOST:PORT or https://HOST:PORT, got ${text}`);
  if (plain && !plaintext && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    const text = `--etcd: ${url.origin} is neither https nor loopback; --etcd-plaintext allows it`;
    throw usage(text);
  }
  return url;
}

function contents(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw usage(`--${option}: cannot read ${file}: ${messageOf(error)}`);
  }
}

function usage(text: string): CurlingError {
  return new CurlingError('CURLING_USAGE', text);
}
