#!/bin/sh
# enter.sh ROOT FILES SCRATCH: runs the libvirtd unpacked in ROOT, to be called in a mount namespace of its own (`ip
# netns exec` makes one). It sees this machine with ROOT and FILES laid over it, and what it writes to /etc, /usr and /var
# goes to SCRATCH, in a memory file system and not below /run. /run is its own, but for the folders that are there already:
# the lab's sockets are in one.
set -eu
root=$1
files=$2
scratch=$3

over() {
  mkdir -p "$scratch/$1" "$scratch/$1.work"
  mount -t overlay curling -o "lowerdir=$2,upperdir=$scratch/$1,workdir=$scratch/$1.work" "/$1"
}

over usr "$root/usr:/usr"
over etc "$root/etc:/etc"
over var /var
mkdir -p "$scratch/run"
mount --rbind /run "$scratch/run"
mount -t tmpfs curling /run
for folder in "$scratch"/run/*/; do
  name=/run/$(basename "$folder")
  mkdir -p "$name"
  mount --rbind "$folder" "$name"
done
cp -R "$files/." /
# Debian's libvirt asks for this user, even where all is root's.
echo 'libvirt-qemu:x:64055:64055::/:/bin/false' >>/etc/passwd
echo 'libvirt-qemu:x:64055:' >>/etc/group
mkdir -p /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
# It would look at every emulator that it finds, for seconds.
rm -f /usr/bin/qemu-system-i386
# One that is told to end begins again, in the same place.
while /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid; do :; done
