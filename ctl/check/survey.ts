/** Everything that `curlingctl check` looks at, in the order in which one thing needs the other. */
import { asCurlingError } from '../../common/errors.ts';
import { parseCommandLine } from '../../common/options.ts';
import { configured, readConfigured } from '../../config/configured.ts';
import { type ConfigFiles, listOf, readConfigFiles } from '../../config/files.ts';
import { COORDINATOR, coordinatorConfig } from '../../coordinator/config.ts';
import { PROXY, proxyConfig } from '../../proxy/config.ts';
import { isEmulated } from './command-line.ts';
import { type Finding, finding } from './finding.ts';
import { judgeHost } from './host.ts';
import { probeHost } from './host-probe.ts';
import { judgeMachine } from './machine.ts';
import { type ConfiguredMachine, probeMachine } from './machine-probe.ts';
import { judgeTap } from './network.ts';
import { probeTap } from './network-probe.ts';
import { judgeQemu } from './qemu.ts';
import { DEFAULT_QEMU, probeQemu } from './qemu-probe.ts';

export interface SurveyOptions {
  /** The folder of the configuration files, or `none`. */
  config: string;
  /** Undefined: all that are configured. */
  vm: string | undefined;
  /** Taps to look at besides those of the machines. */
  taps: readonly string[];
  /** A QEMU to look at instead of those of the machines. */
  qemu: string | undefined;
}

/** Looks at all of it; what cannot be looked at is a finding, not an error. */
export async function survey(options: SurveyOptions): Promise<Finding[]> {
  const findings = judgeHost(await probeHost());
  const { machines, taps } = readMachines(options, findings);
  for (const tap of options.taps) taps.set(tap, undefined);
  for (const [program, emulated] of programsOf(options, machines))
    findings.push(...judgeQemu(await probeQemu(program, emulated)));
  for (const [tap, bridge] of taps) {
    await look(findings, `tap ${tap}`, async () => judgeTap(await probeTap(tap, bridge)));
  }
  const facts = await Promise.all(machines.map(probeMachine));
  findings.push(...unique(facts.flatMap(judgeMachine)));
  return findings;
}

/** Whose QEMU is to be looked at, and whether all its guests are emulated. */
function programsOf(
  { qemu }: SurveyOptions,
  machines: readonly ConfiguredMachine[],
): Map<string, boolean> {
  if (qemu !== undefined) return new Map([[qemu, false]]);
  const programs = new Map<string, boolean>();
  for (const { config } of machines) {
    const [program = DEFAULT_QEMU] = config.standbyCommand;
    const all = programs.get(program) ?? true;
    programs.set(program, all && isEmulated(config.standbyCommand));
  }
  return programs.size > 0 ? programs : new Map([[DEFAULT_QEMU, false]]);
}

interface Machines {
  machines: ConfiguredMachine[];
  /** With the bridge that its proxy is told. */
  taps: Map<string, string | undefined>;
}

/** The machines whose configuration is right; the others are findings. */
function readMachines({ config: dir, vm }: SurveyOptions, findings: Finding[]): Machines {
  const found: Machines = { machines: [], taps: new Map() };
  const files = attempt(findings, 'configuration', () => readConfigFiles(dir));
  if (!files) return found;
  const names = [...files.machines.keys()].filter(name => vm === undefined || name === vm);
  const none =
    vm === undefined ? `no machine is configured in ${dir}` : `${dir} has no vm/${vm}.toml`;
  findings.push(
    finding(vm === undefined ? 'could' : 'must', 'configuration', {
      ok: names.length > 0,
      found: names.length > 0 ? `${dir}: ${names.join(', ')}` : none,
      todo: `write ${dir}/vm/NAME.toml: docs/operations.md, "Configuration files"`,
    }),
  );
  for (const name of names) readMachine(name, dir, files, found, findings);
  return found;
}

function readMachine(
  name: string,
  dir: string,
  files: ConfigFiles,
  found: Machines,
  findings: Finding[],
): void {
  const entries = files.machines.get(name)!;
  const taps = listOf(entries.findLast(entry => entry.table === '' && entry.key === 'tap'));
  attempt(findings, `${name}: configuration`, () => {
    const argv = ['--vm', name, '--config', dir];
    const whole = configured('coordinator', parseCommandLine(COORDINATOR, argv));
    const { qmp } = whole.line.values;
    const config = readConfigured(whole, coordinatorConfig);
    found.machines.push({ config, taps, qmpPath: typeof qmp === 'string' ? qmp : undefined });
  });
  if (taps.length === 0) return;
  attempt(findings, `${name}: configuration`, () => {
    const argv = ['--tap', taps[0]!, '--config', dir];
    const whole = configured('proxy', parseCommandLine(PROXY, argv));
    const { bridge } = readConfigured(whole, proxyConfig);
    for (const tap of taps) found.taps.set(tap, bridge);
  });
}

/** What `read` gives; undefined when it fails, which is a finding then. */
function attempt<Result>(
  findings: Finding[],
  subject: string,
  read: () => Result,
): Result | undefined {
  try {
    return read();
  } catch (error) {
    findings.push(failure(subject, error));
    return undefined;
  }
}

async function look(
  findings: Finding[],
  subject: string,
  work: () => Promise<Finding[]>,
): Promise<void> {
  try {
    findings.push(...(await work()));
  } catch (error) {
    findings.push(failure(subject, error));
  }
}

function failure(subject: string, error: unknown): Finding {
  const { code, message } = asCurlingError(error);
  return { tier: 'must', subject, ok: false, found: message, todo: `docs/errors.md, ${code}` };
}

/** Several machines say the same of the witness and the peer that they share. */
function unique(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map(one => [JSON.stringify(one), one])).values()];
}
