/** How to start an etcd of one member, for labs and tests. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inRepository } from './paths.ts';

const UNPACKED = inRepository('build/etcd/usr/bin/etcd');
const onPath = (process.env.PATH ?? '').split(':').map(folder => join(folder, 'etcd'));

/** The etcd that install/setup.sh unpacked, or the one on PATH. */
export const ETCD = existsSync(UNPACKED) ? UNPACKED : 'etcd';

/** Whether it is there. */
export const HAS_ETCD = [UNPACKED, ...onPath].some(file => existsSync(file));

export interface EtcdServerOptions {
  /** Where clients connect: `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly url: string;
  readonly dataDir: string;
  /** A free port of the loopback, for members that will never come. */
  readonly peerPort: number;
  /** PEM files, for https; clients need a certificate that `ca` signed. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** The arguments of `etcd`. */
export function etcdArguments({ url, dataDir, peerPort, tls }: EtcdServerOptions): string[] {
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    ...['--name', 'one', '--data-dir', dataDir, '--log-level', 'warn'],
    ...['--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...['--initial-cluster', `one=${peer}`],
    ...(tls ? ['--cert-file', tls.cert, '--key-file', tls.key] : []),
    ...(tls ? ['--client-cert-auth', '--trusted-ca-file', tls.ca] : []),
  ];
}
