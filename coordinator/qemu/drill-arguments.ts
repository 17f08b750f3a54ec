/**
 * The command line of a drill's QEMU, from an operator's command line for the guest: the same devices, and nothing
 * outside of it that the standby beside it, or the outside, could notice. Pure.
 *
 *   taps                         new ones that no bridge has and that end with their QEMU: other networks would lack
 *                                what a card on a tap has saved (vnet_hdr), and the state would not load
 *   serial ports, consoles       lead nowhere
 *   monitors, screens, sound,    are left away: the standby has their ports and paths
 *   filters, pid file, logs
 *
 * Options are those of qemu(1), with one hyphen or two.
 */
import { CurlingError } from '../../common/errors.ts';

/**
 * The taps' name; the kernel puts a number in the place of %d (Documentation/networking/tuntap.rst). 15 characters are
 * the most that an interface's name may have.
 */
const TAP_NAME = 'curldrill%d';
/** What ties a network card's backend to something outside. */
const OUTSIDE = /^(ifname|script|downscript|br|helper|fds?|vhostfds?|hostfwd|guestfwd|smb|tftp)=/;

/** The new value; undefined leaves the option away. */
type Rewrite = (value: string) => string | undefined;

const leave: Rewrite = () => undefined;

const REWRITES: Readonly<Record<string, Rewrite>> = {
  netdev: inertNetwork,
  nic: inertNetwork,
  net: inertNetwork,
  chardev: inertChardev,
  serial: inertPort,
  parallel: inertPort,
  debugcon: inertPort,
  audiodev: value => ['none', ...members(value).filter(word => /^id=/.test(word))].join(','),
  object: value => (/^(qom-type=)?filter-|"filter-/.test(value) ? undefined : value),
  monitor: leave,
  mon: leave,
  qmp: leave,
  'qmp-pretty': leave,
  display: leave,
  vnc: leave,
  spice: leave,
  gdb: leave,
  pidfile: leave,
  trace: leave,
  D: leave,
  // The kernel's command line may begin like an option.
  append: value => value,
  readconfig: value => refuse(`-readconfig ${value}`),
};
/** Options without a value that are left away. */
const FLAGS: ReadonlySet<string> = new Set(['s', 'daemonize']);

/**
 * The command for a drill, to which standbyArguments adds the rest. It ends when this process does, whatever becomes of
 * it (PR_SET_PDEATHSIG, prctl(2)).
 * @throws CurlingError CURLING_DRILL for a network or a file of options that cannot be made harmless
 */
export function drillArguments(argv: readonly string[]): string[] {
  const inert: string[] = ['setpriv', '--pdeathsig', 'KILL'];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const option = /^--?([A-Za-z].*)$/.exec(word)?.[1] ?? '';
    if (FLAGS.has(option)) continue;
    const rewrite = Object.hasOwn(REWRITES, option) ? REWRITES[option] : undefined;
    const value = argv[at + 1];
    if (!rewrite || value === undefined) {
      inert.push(word);
      continue;
    }
    const fresh = rewrite(value);
    if (fresh !== undefined) inert.push(word, fresh);
    at++;
  }
  return [...inert, '-display', 'none', '-monitor', 'none'];
}

/** -netdev, -nic or -net: a tap becomes another tap, and a network inside of QEMU stays one. */
function inertNetwork(value: string): string {
  if (value.startsWith('{')) return JSON.stringify(inertJson(value));
  const [type = '', ...rest] = members(value);
  const kept = rest.filter(word => !OUTSIDE.test(word));
  if (['none', 'nic', 'hubport'].includes(type)) return value;
  if (type === 'user') return ['user', ...kept, 'restrict=on'].join(',');
  if (type !== 'tap' && type !== 'bridge') return refuse(`a network of type ${type}`);
  return ['tap', ...kept, `ifname=${TAP_NAME}`, 'script=no', 'downscript=no'].join(',');
}

/** The same in JSON, as libvirt writes it. */
function inertJson(text: string): object {
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text);
  } catch {
    return refuse(`the network ${text}`);
  }
  const kept = Object.entries(given).filter(([key]) => !OUTSIDE.test(`${key}=`));
  const { type, ...rest } = Object.fromEntries(kept);
  if (type === 'hubport') return given;
  if (type === 'user') return { type, ...rest, restrict: true };
  if (type !== 'tap' && type !== 'bridge') return refuse(`a network of type ${type}`);
  return { type: 'tap', ...rest, ifname: TAP_NAME, script: 'no', downscript: 'no' };
}

function inertChardev(value: string): string {
  return ['null', ...members(value).filter(word => /^(id|mux)=/.test(word))].join(',');
}

function inertPort(value: string): string {
  return value === 'none' || value.startsWith('chardev:') ? value : 'null';
}

/** The members of a list of QEMU's, in which two commas are one that is meant. */
function members(value: string): string[] {
  return value.split(/(?<!,),(?!,)/);
}

function refuse(what: string): never {
  const text = `${what} cannot be made harmless for a drill, beside the standby that uses it`;
  throw new CurlingError('CURLING_DRILL', text);
}
