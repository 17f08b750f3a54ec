/** What curling-proxy is told, by its command line and its files. */
import { daemonOptions } from '../common/daemon-options.ts';
import { CurlingError } from '../common/errors.ts';
import { type HttpAddress, httpAddress } from '../common/http/address.ts';
import { logLevel } from '../common/log.ts';
import {
  type CommandLine,
  type CommandSpec,
  requiredText,
  wholeNumber,
} from '../common/options.ts';
import { SNAP_BYTES_MAX } from './pcapng.ts';
import type { RecordingOptions } from './recording.ts';
import type { ProxyState } from './tap-proxy.ts';

/** As many network cards as a guest has PCI slots for, generously. */
const TAPS_MAX = 16;

export interface ProxyConfig {
  /** One or more, none twice. */
  taps: string[];
  /** The bridge that they must be on; undefined: any. */
  bridge: string | undefined;
  control: string;
  initial: ProxyState;
  /** Memory for held frames, all taps together. */
  bufferBytes: number;
  /** The file in which what leaves is recorded; undefined: nowhere. */
  record: Pick<RecordingOptions, 'file' | 'bytesMax' | 'snapBytes'> | undefined;
  /** Whether to open taps that were left closed, and nothing else. */
  restore: boolean;
  http: HttpAddress | undefined;
  logLevel: string;
}

export const PROXY: CommandSpec = {
  program: 'curling-proxy',
  usage: '--tap TAP [--tap TAP …] [options]',
  summary: "Holds a guest's output on its taps in epochs, and releases it on command.",
  options: {
    tap: {
      type: 'string',
      multiple: true,
      value: 'TAP',
      flagOnly: true,
      help: 'a tap of the guest, a port of a bridge; several are held as one',
    },
    bridge: { type: 'string', value: 'BRIDGE', help: 'refuse unless the taps are on this bridge' },
    control: {
      type: 'string',
      value: 'PATH',
      help: 'the control socket (default /run/curling/proxy-TAP.sock, of the first tap)',
    },
    initial: {
      type: 'string',
      value: 'STATE',
      help: 'hold: nothing leaves without a release; bypass: the kernel path',
      flagOnly: true,
      default: 'hold',
    },
    'buffer-mib': {
      type: 'string',
      value: 'MIB',
      help: 'memory for held frames, 4 to 4096; each tap has an equal share',
      default: '256',
    },
    record: {
      type: 'string',
      value: 'FILE',
      help: 'record what leaves in this new file, for Wireshark and tcpdump',
    },
    'record-mib': {
      type: 'string',
      value: 'MIB',
      help: 'the longest that this file may become, 1 to 1048576',
      default: '1024',
    },
    'record-snap': {
      type: 'string',
      value: 'BYTES',
      help: 'bytes of a frame that are recorded, 64 to 262144',
      default: '1600',
    },
    restore: {
      type: 'boolean',
      flagOnly: true,
      help: 'open taps that a proxy left closed, and end',
    },
    ...daemonOptions(7711),
  },
  notes: ['The control socket speaks the shape of QMP: docs/protocol.md.'],
};

/**
 * @throws CurlingError CURLING_USAGE naming the option, what was expected and what came.
 */
export function proxyConfig({ values, positionals }: CommandLine): ProxyConfig {
  if (positionals.length > 0) {
    const text = `expected options, got ${positionals.join(' ')}`;
    throw new CurlingError('CURLING_USAGE', text);
  }
  const taps = tapNames(values.tap);
  return {
    taps,
    bridge: values.bridge as string | undefined,
    control: String(values.control ?? `/run/curling/proxy-${taps[0]}.sock`),
    initial: stateOf(values.initial),
    bufferBytes: wholeNumber('buffer-mib', values['buffer-mib'], 4 * taps.length, 4096) * 2 ** 20,
    record: recordOf(values),
    restore: values.restore === true,
    http: httpAddress(values.http),
    logLevel: logLevel(values['log-level']),
  };
}

function recordOf(values: CommandLine['values']): ProxyConfig['record'] {
  const bytesMax = wholeNumber('record-mib', values['record-mib'], 1, 1 << 20) * 2 ** 20;
  const snapBytes = wholeNumber('record-snap', values['record-snap'], 64, SNAP_BYTES_MAX);
  const file = values.record;
  return file === undefined ? undefined : { file: String(file), bytesMax, snapBytes };
}

function tapNames(values: unknown): string[] {
  const names = (values as string[] | undefined) ?? [];
  requiredText('tap', names[0]);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new CurlingError('CURLING_USAGE', `--tap ${twice} is given twice`);
  if (names.length <= TAPS_MAX) return names;
  const text = `--tap: expected at most ${TAPS_MAX} taps, got ${names.length}`;
  throw new CurlingError('CURLING_USAGE', text);
}

function stateOf(text: unknown): ProxyState {
  if (text === 'hold' || text === 'bypass') return text;
  const got = JSON.stringify(text);
  throw new CurlingError('CURLING_USAGE', `--initial: expected hold or bypass, got ${got}`);
}
