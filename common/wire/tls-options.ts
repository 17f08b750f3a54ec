/** What both ends of our TLS have in common: version 1.3 alone, one cipher, no tickets. */
import { constants } from 'node:crypto';
import type tls from 'node:tls';

export const TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // The one that a pre-shared key without a hash of its own may be used with (RFC 8446, 4.2.11).
  ciphers: 'TLS_AES_128_GCM_SHA256',
  // Every connection proves itself anew: a ticket would outlive a key that was taken away.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const satisfies tls.SecureContextOptions;
