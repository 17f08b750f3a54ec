/** The options that all daemons have. */
import type { OptionSpec } from './options.ts';

/** @param httpPort Where the daemon's metrics are by default, on loopback. */
export function daemonOptions(httpPort: number) {
  return {
    http: {
      type: 'string',
      value: 'HOST:PORT',
      default: `127.0.0.1:${httpPort}`,
      help: 'serve metrics there; off: nowhere',
    },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      default: 'info',
      help: 'error, warn, info or debug',
    },
    config: {
      type: 'string',
      value: 'DIR',
      flagOnly: true,
      help: 'configuration files (default /etc/curling); none: no files',
    },
    'check-config': { type: 'boolean', flagOnly: true, help: 'look whether it is right, and end' },
    'dump-config': { type: 'boolean', flagOnly: true, help: 'print it with its sources, and end' },
  } as const satisfies Record<string, OptionSpec>;
}
