/** Where a daemon serves HTTP. */
import { type TcpAddress, tcpAddress } from '../options.ts';

export type HttpAddress = TcpAddress;

/**
 * What `--http` says; undefined for `off`.
 * @throws CurlingError CURLING_USAGE
 */
export function httpAddress(value: unknown): HttpAddress | undefined {
  const text = typeof value === 'string' ? value : '';
  return text === 'off' ? undefined : tcpAddress('http', text);
}
