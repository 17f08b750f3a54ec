/** Whether a QEMU on this host can be protected, before a guest runs in it. Pure. */
import { type Finding, finding } from './finding.ts';

export interface QemuFacts {
  program: string;
  /** Why it could not be asked; undefined: it was. */
  error: string | undefined;
  /** As QEMU says it, e.g. 7.2.22; undefined when it could not be asked. */
  version: string | undefined;
  /** What COLO needs and this QEMU has not, by the names of QMP. */
  coloMissing: readonly string[];
  /** Why no guest runs under KVM; undefined: the firmware of one did. */
  kvmError: string | undefined;
  /** Whether the guest is to run under emulation, as its command says. */
  isEmulated: boolean;
}

/** Of 10.0.x, the oldest whose COLO was seen to work, and the newest that was seen broken. */
const FIXED_10_0 = 13;
const BROKEN_10_0 = 2;

export function judgeQemu(facts: QemuFacts): Finding[] {
  const { program, error, version, coloMissing } = facts;
  if (version === undefined) {
    const found = `${program}: ${error ?? 'does not say its version'}`;
    return [finding('must', 'QEMU', { ok: false, found, todo: 'apt-get install qemu-system-x86' })];
  }
  return [
    { ...coloOf(version), subject: 'QEMU' },
    finding('must', 'COLO', {
      ok: coloMissing.length === 0,
      found: coloMissing.length === 0 ? 'is built in' : `has no ${coloMissing.join(', ')}`,
      todo: 'use a QEMU that is built with replication, as Debian builds it',
    }),
    kvmFinding(facts),
  ];
}

/** What is known of the COLO of this version: the register of coordinator/qemu/colo-migration.ts. */
export function coloOf(version: string): Finding {
  const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
  const todo = 'use QEMU 7.2, or 10.0.13 or later';
  const said = (ok: boolean, what: string, tier: 'must' | 'should' = 'must') =>
    finding(tier, 'COLO', { ok, found: `${version}${what}`, todo });
  if (major === 10 && minor === 1) return said(false, ', whose COLO is broken');
  if (major !== 10 || minor !== 0 || micro >= FIXED_10_0) return said(true, '');
  if (micro <= BROKEN_10_0) return said(false, ', whose COLO is broken');
  return said(
    false,
    `: 10.0.${BROKEN_10_0} has a broken COLO, 10.0.${FIXED_10_0} has not`,
    'should',
  );
}

function kvmFinding({ kvmError, isEmulated }: QemuFacts): Finding {
  const ok = kvmError === undefined;
  const emulated = 'the guest runs under emulation, where COLO needs two workarounds (README)';
  return finding(isEmulated ? 'could' : 'must', 'KVM', {
    ok,
    found: ok ? 'runs the firmware of a guest' : kvmError,
    todo: isEmulated
      ? emulated
      : 'switch virtualisation on in the firmware, load kvm_intel or kvm_amd; in a guest, allow nesting',
  });
}
