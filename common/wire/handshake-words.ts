/**
 * What a failed handshake means, for an operator. Pure. The codes are those of Node and of OpenSSL 3,
 * which differ a little between their versions.
 */
import { HOST_NAME } from './keys.ts';

/** What a server knows of a handshake that failed. */
export interface ServerFacts {
  /** Node's or OpenSSL's code. */
  code: string | undefined;
  /** The host that the client said it was, with a pre-shared key. */
  claim: string | undefined;
  /** Whether we have a key of that host. */
  known: boolean;
  /** Why its certificate was not accepted. */
  authorizationError: string | undefined;
}

/** A short name to count by, and a sentence that says what to do. */
export interface Failure {
  cause: string;
  text: string;
}

/** Why a client was not let in. */
export function serverFailure(facts: ServerFacts): Failure {
  const { code = '', claim, known } = facts;
  // The claim is the word of somebody who has not proven anything.
  const host = claim !== undefined && HOST_NAME.test(claim) ? `host ${claim}` : 'a host';
  if (claim !== undefined && !known)
    return { cause: 'unknown-host', text: `${host} is not in our key file; add its line` };
  if (claim !== undefined && code === 'ERR_SSL_BINDER_DOES_NOT_VERIFY')
    return { cause: 'wrong-key', text: `${host} has another key than we have; copy the key file` };
  if (facts.authorizationError !== undefined) {
    const text = `its certificate is not accepted: ${facts.authorizationError}`;
    return { cause: 'certificate', text };
  }
  if (/WRONG_VERSION_NUMBER|HTTP_REQUEST|UNEXPECTED_MESSAGE/.test(code))
    return { cause: 'not-tls', text: 'it does not speak TLS; give it the same --keys file' };
  if (/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code))
    return { cause: 'old-tls', text: 'it offers no TLS 1.3' };
  if (/NO_SUITABLE_SIGNATURE_ALGORITHM|NO_SHARED_CIPHER/.test(code))
    return { cause: 'no-key', text: 'it offers no pre-shared key; give it the same --keys file' };
  if (/DID_NOT_RETURN_A_CERTIFICATE/.test(code))
    return { cause: 'certificate', text: 'it has no certificate; give it --tls-cert' };
  if (/ALERT/.test(code))
    return { cause: 'refused-us', text: `it does not accept this end (${code}); see its log` };
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return { cause: 'broken-off', text: 'it broke the handshake off' };
  return { cause: 'other', text: `the handshake failed (${code || 'no code'})` };
}

/** Why a server did not let us in, or is not one that we accept. `host` is who we are. */
export function clientFailure(code: string | undefined, message: string, host?: string): string {
  const us = host === undefined ? 'this host' : `host ${host}`;
  if (/ALERT_HANDSHAKE_FAILURE/.test(code ?? ''))
    return `it does not know ${us}, or uses certificates; give it the same --keys file`;
  if (/ALERT_(ILLEGAL_PARAMETER|DECRYPT_ERROR)/.test(code ?? ''))
    return `it has another key of ${us}; copy the key file`;
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNEXPECTED_MESSAGE/.test(code ?? ''))
    return 'it does not speak TLS; give it the same --keys file';
  if (/PROTOCOL_VERSION/.test(code ?? '')) return 'it does not speak TLS 1.3';
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE)/.test(code ?? ''))
    return `it does not accept our certificate (${code})`;
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return 'it closed the connection in the handshake; see its log, and whether it speaks TLS';
  return `the handshake failed: ${message} (${code ?? 'no code'})`;
}
