/**
 * What two QEMUs must have in common for one to take over the other's guest, as plain JSON that travels at pairing. It
 * is the same whether the guest runs or the QEMU is a standby in -incoming: nothing that firmware or the guest sets up
 * (bus numbers, addresses, interrupts) is in it, nor how memory is backed.
 */
import { CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import { isObject, type JsonObject } from '../../common/qmp/messages.ts';
import { shown } from '../../common/shown.ts';
import { queryList, queryObject } from './qmp-queries.ts';

export interface GuestDescription {
  /** As QEMU says it, e.g. 7.2.22. */
  qemuVersion: string;
  /** Versioned, e.g. pc-i440fx-7.2-machine. */
  machine: string;
  ramBytes: number;
  accel: 'tcg' | 'kvm';
  cpus: number;
  /** What the vCPUs offer to the guest: CPUID words that are not zero. */
  cpuFeatures: string[];
  /** One line per function on the root buses: slot, class, vendor and device, sizes of its regions. */
  pci: string[];
  /** One line per device that the command line adds: id, type, address on its bus. */
  devices: string[];
}

/**
 * Describes the guest of a QEMU.
 * @throws CurlingError as QmpClient.execute; CURLING_MESSAGE for an answer of another shape
 */
export async function describeGuest(qmp: QmpClient): Promise<GuestDescription> {
  try {
    return await askForGuest(qmp);
  } catch (error) {
    // An object can say of itself that it cannot be made a string or a number.
    if (!(error instanceof TypeError)) throw error;
    const text = `QEMU describes its guest in another shape: ${error.message}`;
    throw new CurlingError('CURLING_MESSAGE', text, { cause: error });
  }
}

async function askForGuest(qmp: QmpClient): Promise<GuestDescription> {
  const [version, memory, kvm, cpus, pci, machine] = await Promise.all([
    queryObject(qmp, 'query-version'),
    queryObject(qmp, 'query-memory-size-summary'),
    queryObject(qmp, 'query-kvm'),
    queryList(qmp, 'query-cpus-fast'),
    queryPci(qmp),
    qmp.execute('qom-get', { path: '/machine', property: 'type' }),
  ]);
  const ramBytes = Number(memory['base-memory']) + Number(memory['plugged-memory'] ?? 0);
  if (!Number.isSafeInteger(ramBytes)) {
    const text = `query-memory-size-summary: expected a size, got ${shown(memory)}`;
    throw new CurlingError('CURLING_MESSAGE', text);
  }
  const { major, minor, micro } = isObject(version.qemu) ? version.qemu : {};
  return {
    qemuVersion: `${major}.${minor}.${micro}`,
    machine: String(machine),
    ramBytes,
    accel: kvm.enabled === true ? 'kvm' : 'tcg',
    cpus: cpus.length,
    cpuFeatures: cpus[0] ? await cpuFeatures(qmp, String(cpus[0]['qom-path'])) : [],
    pci,
    devices: [
      ...(await devices(qmp, '/machine/peripheral')),
      ...(await devices(qmp, '/machine/peripheral-anon')),
    ],
  };
}

/** How the two sides of a comparison are called. */
export interface Places {
  here: string;
  there: string;
}

const HERE_AND_THERE: Places = { here: 'here', there: 'on the other host' };
/** Of a list, as many entries are named; CPUID alone can differ in twenty words. */
const NAMED_MAX = 4;

/**
 * How two descriptions differ, and what to change in the command of a QEMU: one line for an operator each; none when they
 * agree.
 * @param here The description of this host's QEMU. @param there The peer's, from the wire: any JSON.
 */
export function compareGuests(
  here: GuestDescription,
  there: unknown,
  places = HERE_AND_THERE,
): string[] {
  if (!isObject(there)) return ['the other host sent no description of its guest'];
  return (Object.keys(KEYS) as (keyof GuestDescription)[]).flatMap(key => {
    const differences = differencesOf(key, here[key], there[key], places);
    const last = differences.pop();
    return last === undefined ? [] : [...differences, `${last} (${KEYS[key].advice})`];
  });
}

function differencesOf(
  key: keyof GuestDescription,
  mine: GuestDescription[keyof GuestDescription],
  other: unknown,
  places: Places,
): string[] {
  const { label, unit } = KEYS[key];
  if (Array.isArray(mine) && Array.isArray(other)) {
    return [
      ...missing(label, mine, other, `only ${places.here}`),
      ...missing(label, other, mine, `only ${places.there}`),
    ];
  }
  if (mine === other) return [];
  const said = (value: unknown) => (unit && typeof value === 'number' ? unit(value) : text(value));
  return [`${label}: ${said(mine)} ${places.here}, ${said(other)} ${places.there}`];
}

interface Key {
  label: string;
  /** What makes two QEMUs the same in this. */
  advice: string;
  /** A number for a reader. */
  unit?: (value: number) => string;
}

const KEYS: Readonly<Record<keyof GuestDescription, Key>> = {
  qemuVersion: { label: 'QEMU version', advice: 'install the same QEMU on both hosts' },
  machine: {
    label: 'machine type',
    advice: '-machine must name the same type, best with its version',
  },
  ramBytes: {
    label: 'RAM',
    advice: '-m must say the same',
    unit: bytes => `${bytes / 2 ** 20} MiB`,
  },
  accel: {
    label: 'accelerator',
    advice: '-accel must be the same; KVM may be missing on one host',
  },
  cpus: { label: 'number of vCPUs', advice: '-smp must say the same' },
  cpuFeatures: {
    label: 'CPU features (CPUID)',
    advice:
      '-cpu must name the same model, one that the processors of both hosts have; host and max are those of each',
  },
  pci: { label: 'PCI device', advice: 'each -device must be on both sides, with the same addr=' },
  devices: {
    label: 'device',
    advice:
      'each -device must be on both sides, with the same id= and addr=; what was plugged in later too',
  },
};

/** Entries of `list` that `other` lacks; one that is there twice must be there twice. */
function missing(label: string, list: unknown[], other: unknown[], where: string): string[] {
  const left = [...other];
  const lacked = list.filter(entry => {
    const at = left.indexOf(entry);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  const named = lacked.slice(0, NAMED_MAX).map(entry => `${label} ${text(entry)}: ${where}`);
  const more = lacked.length - named.length;
  return more > 0 ? [...named, `${more} more: ${where}`] : named;
}

function text(value: unknown): string {
  const words = typeof value === 'string' ? value : shown(value, 201);
  return words.length > 200 ? `${words.slice(0, 200)}…` : words;
}

/** The features are those of the first vCPU; QEMU gives all the same. Machines without CPUID words have none. */
async function cpuFeatures(qmp: QmpClient, path: string): Promise<string[]> {
  const properties = await queryList(qmp, 'qom-list', { path });
  const type = properties.find(property => property.name === 'type');
  if (!properties.some(property => property.name === 'feature-words')) return [String(type?.type)];
  const words = await queryList(qmp, 'qom-get', { path, property: 'feature-words' });
  return words
    .filter(word => word.features !== 0)
    .map(word => {
      const leaf = Number(word['cpuid-input-eax']).toString(16);
      const sub = word['cpuid-input-ecx'] === undefined ? '' : `.${word['cpuid-input-ecx']}`;
      return `${leaf}${sub}/${word['cpuid-register']}=${Number(word.features).toString(16)}`;
    })
    .sort();
}

/** Devices behind bridges are missing on a standby, whose firmware has not numbered the buses: see `devices`. */
async function queryPci(qmp: QmpClient): Promise<string[]> {
  const buses = await queryList(qmp, 'query-pci');
  return buses.flatMap(bus => objects(bus.devices).map(pciLine)).sort();
}

function pciLine(device: JsonObject): string {
  const id = isObject(device.id) ? device.id : {};
  const classInfo = isObject(device.class_info) ? device.class_info : {};
  const regions = objects(device.regions).map(r => `${r.bar}:${r.type}:${r.size}`);
  const slot = `${hex(device.slot, 2)}.${device.function}`;
  const ids = [id.vendor, id.device, id['subsystem-vendor'], id.subsystem];
  return [slot, hex(classInfo.class, 4), ids.map(n => hex(n, 4)).join(':'), ...regions].join(' ');
}

async function devices(qmp: QmpClient, folder: string): Promise<string[]> {
  const children = await queryList(qmp, 'qom-list', { path: folder });
  const lines = children
    .filter(child => String(child.type).startsWith('child<'))
    .map(async child => {
      const path = `${folder}/${child.name}`;
      const properties = await queryList(qmp, 'qom-list', { path });
      const hasAddress = properties.some(property => property.name === 'addr');
      const address = hasAddress ? await qmp.execute('qom-get', { path, property: 'addr' }) : null;
      return [child.name, child.type, ...(address === null ? [] : [pciAddress(address)])].join(' ');
    });
  return (await Promise.all(lines)).sort();
}

/** QEMU gives a device's PCI address as slot × 8 + function. */
function pciAddress(address: unknown): string {
  const number = Number(address);
  return `${hex(number >> 3, 2)}.${number & 7}`;
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function hex(value: unknown, digits: number): string {
  return Number(value ?? 0)
    .toString(16)
    .padStart(digits, '0');
}
