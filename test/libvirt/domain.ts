/** The test guest of the lab as a libvirt domain, and what stands around it on a host. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GUEST_MAC } from '../../lab/addresses.ts';
import { type Deployment, VM } from '../../lab/deployment.ts';
import type { LabHost } from '../../lab/node.ts';
import { inRepository } from '../../lab/paths.ts';
import { guestArguments, serialPathOf, TCG_SAFE_RAM_BYTES } from '../../lab/qemu.ts';
import { HOOK } from './hook-bench.ts';
import type { OverlaidFile } from './libvirtd.ts';

/** libvirt counts in MiB, which TCG does not bear (lab/qemu.ts): this is what it is told, and asks QEMU for. */
const RAM_BYTES = 128 << 20;

/**
 * The lab's workarounds for TCG, as an emulator for libvirt: the preloaded library, and memory of another size than
 * libvirt can say.
 */
function emulator(condWait: string): string {
  return `#!/bin/sh
export LD_PRELOAD=${condWait}
left=$#
before=
while [ $left -gt 0 ]; do
  word=$1
  case "$before $word" in
    '-m '*) word=${TCG_SAFE_RAM_BYTES}B ;;
    '-object '*'"size":${RAM_BYTES}'*) word=$(printf '%s' "$word" | sed 's/${RAM_BYTES}/${TCG_SAFE_RAM_BYTES}/') ;;
  esac
  before=
  case $word in -m | -object) before=$word ;; esac
  shift
  set -- "$@" "$word"
  left=$((left - 1))
done
exec qemu-system-x86_64 "$@"
`;
}

/** Writes the domain of a host, with a monitor for its coordinator where \`startGuest\` would have it; returns the file. */
export function writeDomain({ image }: Deployment, host: LabHost): string {
  const emulatorPath = join(host.runDir, 'qemu-tcg');
  writeFileSync(emulatorPath, emulator(image.condWait), { mode: 0o755 });
  const words = guestArguments(host, { image });
  const own = [
    ...['-qmp', `unix:${join(host.runDir, 'qmp.sock')},server=on,wait=off`],
    ...['-chardev', `file,id=serial0,path=${serialPathOf(host)},append=on`],
    ...['-serial', 'chardev:serial0'],
  ];
  const file = join(host.runDir, 'domain.xml');
  writeFileSync(
    file,
    `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${VM}</name>
  <memory unit='b'>${RAM_BYTES}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${image.kernel}</kernel>
    <initrd>${image.initrd}</initrd>
    <cmdline>${words[words.indexOf('-append') + 1]}</cmdline>
  </os>
  <cpu mode='custom' match='exact'>
    <model fallback='forbid'>qemu64</model>
    <feature policy='require' name='rdrand'/>
  </cpu>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>${emulatorPath}</emulator>
    <controller type='usb' model='none'/>
    <interface type='ethernet'>
      <mac address='${GUEST_MAC}'/>
      <target dev='${host.tap}' managed='no'/>
      <model type='virtio'/>
      <driver name='qemu'/>
    </interface>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
${own.map(word => `    <qemu:arg value='${word}'/>`).join('\n')}
  </qemu:commandline>
</domain>
`,
  );
  return file;
}

/** A service manager of which the hook sees no more than of systemd: it starts a proxy, and returns when that holds. */
function systemctl(deployment: Deployment, host: LabHost): string {
  const control = deployment.proxyPath(host);
  const log = host.logPath('proxy');
  const command = `${process.execPath} ${inRepository('build/proxy/main.js')}`;
  return `#!/bin/sh
echo "$*" >>${join(host.runDir, 'systemctl')}
[ "$*" = 'start curling-proxy@${host.tap}.service' ] || exit 5
grep -Fq ' ${control}' /proc/net/unix && exit 0
setsid ${command} --tap ${host.tap} --control ${control} --buffer-mib 64 --config none --http off \\
  </dev/null >>${log} 2>&1 &
until grep -q '"started"' ${log}; do sleep 0.05; done
`;
}

/** What a host with libvirt has besides: the hook, the file that opts the guest in, and who writes down the words. */
export function filesOf(deployment: Deployment, host: LabHost): OverlaidFile[] {
  const words = `#!/bin/sh\necho "$*" >>${join(host.runDir, 'words')}\ncat >/dev/null\n`;
  const hooks = '/etc/libvirt/hooks/qemu.d';
  return [
    { path: `${hooks}/10-words`, text: words, mode: 0o755 },
    { path: `${hooks}/50-curling`, text: readFileSync(HOOK, 'utf8'), mode: 0o755 },
    { path: `/etc/curling/vm/${VM}.toml`, text: `tap = ["${host.tap}"]\n` },
    { path: '/usr/bin/systemctl', text: systemctl(deployment, host), mode: 0o755 },
  ];
}
