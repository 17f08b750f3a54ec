/** Certificates for a test: an authority, and a server and a client that it signed. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../common/run.ts';

/**
 * Makes `NAME.pem` and `NAME.key` for `ca`, `server` and `client` in a folder. Needs openssl.
 * @param names What the server is called.
 */
export async function makeCertificates(
  folder: string,
  names: readonly string[] = ['IP:127.0.0.1', 'DNS:localhost'],
): Promise<void> {
  const file = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) => run('openssl', args, { timeoutMs: 60_000 });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const authority = ['-keyout', file('ca.key'), '-out', file('ca.pem')];
  await openssl('req', '-x509', ...newKey, ...authority, '-days', '2', '-subj', '/CN=authority');
  writeFileSync(file('names'), `subjectAltName=${names.join(',')}\n`);
  for (const name of ['server', 'client']) {
    const request = ['-keyout', file(`${name}.key`), '-out', file(`${name}.csr`)];
    await openssl('req', '-new', ...newKey, ...request, '-subj', `/CN=${name}`);
    const signing = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial'];
    const result = ['-out', file(`${name}.pem`), '-days', '2', '-extfile', file('names')];
    await openssl('x509', '-req', '-in', file(`${name}.csr`), ...signing, ...result);
  }
}
