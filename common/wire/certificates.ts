/** Certificates of hosts: the names in them, and whether they can be used. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { CurlingError, messageOf } from '../errors.ts';
import { HOST_NAME } from './keys.ts';
import { readPrivateFile } from './private-file.ts';

export interface Certificates {
  /** PEM: our certificate and those between it and the authority. */
  cert: string;
  /** PEM: its private key. */
  key: string;
  /** PEM: the authority whose certificates are accepted, and no other. */
  ca: string;
}

/** The hosts that a certificate is for: its common name and its DNS names. */
export function namesIn(certificate: X509Certificate): string[] {
  const common = /^CN=(.*)$/m.exec(certificate.subject)?.[1];
  const alternative = (certificate.subjectAltName ?? '').split(', ');
  const dns = alternative.filter(name => name.startsWith('DNS:')).map(name => name.slice(4));
  // What Node quotes or escapes is no host's name, and does not get through.
  return [...new Set([common ?? '', ...dns])].filter(name => HOST_NAME.test(name));
}

/**
 * Reads the three files.
 * @param host Who we are; undefined for a server that has no name.
 * @throws CurlingError CURLING_KEYS when one cannot be used, the key is not the certificate's, it is
 *   of another host or out of date.
 */
export function loadCertificates(
  files: { cert: string; key: string; ca: string },
  host?: string,
): Certificates {
  const loaded: Certificates = {
    cert: readPrivateFile(files.cert, { isSecret: false }),
    key: readPrivateFile(files.key),
    ca: readPrivateFile(files.ca, { isSecret: false }),
  };
  const own = parsed(files.cert, () => new X509Certificate(loaded.cert));
  parsed(files.ca, () => new X509Certificate(loaded.ca));
  const key = parsed(files.key, () => createPrivateKey(loaded.key));
  const fault = (what: string) => new CurlingError('CURLING_KEYS', `${files.cert}: ${what}`);
  if (!own.checkPrivateKey(key)) throw fault(`${files.key} is not its private key`);
  const now = Date.now();
  if (now < Date.parse(own.validFrom) || now > Date.parse(own.validTo))
    throw fault(`is valid from ${own.validFrom} to ${own.validTo} only`);
  const names = namesIn(own);
  if (host !== undefined && !names.includes(host))
    throw fault(`is for ${names.join(', ') || 'no host'}, expected ${host}`);
  return loaded;
}

function parsed<T>(file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const text = `${file}: expected PEM: ${messageOf(error)}`;
    throw new CurlingError('CURLING_KEYS', text, { cause: error });
  }
}
