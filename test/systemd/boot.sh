#!/bin/sh
# The first process of a machine for manager.ts: makes a root of its own for systemd, and becomes systemd. Everything that
# it sees of the host is the lower layer of an overlay, so nothing that runs here can change a file of the host: systemd
# would, its units empty /tmp at boot. Runs in new mount, PID, network, IPC, UTS and cgroup namespaces.
#
# REPOSITORY: this checkout, built. NODE: the node to run it with. WORK: an empty folder. SHARED: a folder of the test,
# /run/shared here.
set -eu
[ $$ = 1 ] || exit 4
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
mount -t overlay -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/work" overlay "$WORK/root"
cd "$WORK/root"
for folder in tmp run dev sys proc root home; do
  mkdir -p $folder
  mount -t tmpfs -o mode=755 tmpfs $folder
done
mkdir -p dev/net dev/shm dev/pts usr/lib/curling usr/lib/curling-node run/shared old
for device in null zero full random urandom tty net/tun; do
  : >dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount --bind "$REPOSITORY" usr/lib/curling
mount --bind "${NODE%/*}" usr/lib/curling-node
for folder in curling curling-node; do mount -o remount,bind,ro usr/lib/$folder; done
mount --bind "$SHARED" run/shared
mount -t proc proc proc
# The kernel's settings are the host's.
for name in sys sysrq-trigger; do
  [ -e proc/$name ] || continue
  mount --bind proc/$name proc/$name
  mount -o remount,bind,ro proc/$name
done
# So is what can be changed here; not as a whole, for then systemd would have no units of devices.
mount -t sysfs sysfs sys
for folder in sys/*; do
  [ "$folder" != sys/fs ] || continue
  mount --bind "$folder" "$folder"
  mount -o remount,bind,ro "$folder"
done
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . old
cd /
umount -l /old
[ "$(stat -f -c %T /)" = overlayfs ] || exit 4

for name in proxy coordinator witness; do
  printf '#!/bin/sh\nexec /usr/lib/curling-node/%s /usr/lib/curling/build/%s/main.js "$@"\n' \
    "${NODE##*/}" $name >/usr/sbin/curling-$name
  chmod 755 /usr/sbin/curling-$name
done
# Of the host's units only those that these need; what they bring along does nothing.
rm -rf /etc/systemd/system/* /usr/lib/systemd/system/*.wants /etc/curling /var/lib/curling
for target in sysinit basic shutdown network network-online; do
  printf '[Unit]\nDefaultDependencies=no\n' >/etc/systemd/system/$target.target
done
for service in systemd-tmpfiles-setup systemd-tmpfiles-clean systemd-tmpfiles-setup-dev; do
  ln -s /dev/null /etc/systemd/system/$service.service
done
cp /usr/lib/curling/install/systemd/* /usr/lib/systemd/system/
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' >/etc/systemd/journald.conf
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\nAfter=systemd-journald.service\n' \
  >/etc/systemd/system/curling-test.target

ip link set lo up
ip link add br0 type bridge
ip tuntap add tap0 mode tap vnet_hdr
ip link set tap0 master br0
ip link set tap0 up
ip link set br0 up
# What udev would know of the tap, and tell systemd: so there is a unit of it.
mkdir -p /run/udev/data /run/udev/tags/systemd
index=$(cat /sys/class/net/tap0/ifindex)
printf 'I:1\nE:SYSTEMD_ALIAS=/sys/subsystem/net/devices/tap0\nG:systemd\nQ:systemd\nV:1\n' >"/run/udev/data/n$index"
: >"/run/udev/tags/systemd/n$index"

export container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Nothing here can set the clock, load a module, or restart the machine, whatever a unit asks for.
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog \
  /lib/systemd/systemd --system --unit=curling-test.target --log-target=null --show-status=0
