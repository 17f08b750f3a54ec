#!/bin/sh
# overlay.sh FILE COMMAND…: runs COMMAND as root of a copy of this machine whose changes are thrown away, with FILE in
# /srv, this checkout in /srv/checkout, and a network of its own, and prints what it left behind: `left PATH` of a file,
# `made PATH` of a folder. To be run in mount, network and process namespaces of its own: what it starts ends with it.
set -eu

# Ours, on which the changes are: an overlay needs a file system that is none itself.
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount --rbind /dev /mnt/root/dev
mount -t proc none /mnt/root/proc
mount -t sysfs none /mnt/root/sys
mount -t tmpfs none /mnt/root/srv
mount -t tmpfs none /mnt/root/run
mkdir /mnt/root/srv/checkout
mount --bind "$(dirname "$0")/../.." /mnt/root/srv/checkout
cp "$1" /mnt/root/srv/
shift
ip link set lo up
status=0
TMPDIR=/srv chroot /mnt/root "$@" || status=$?
cd /mnt/upper
find . -mindepth 1 ! -type d | sed 's/^\./left /'
find . -mindepth 1 -type d | while IFS= read -r folder; do
  [ -d "/$folder" ] || printf 'made %s\n' "${folder#.}"
done
exit $status
