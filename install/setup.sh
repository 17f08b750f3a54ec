#!/bin/sh
# setup.sh [--browser]: the set-up behind `npm start` and, with --browser, `npm test`: installs what is missing (Debian
# packages, npm packages), builds, and says what it does, one line per step. When nothing is missing it only looks. Needs
# root on Debian 12 or later.
#
# Debian packages are never removed. The guest's kernel and busybox are unpacked below build/ rather than installed,
# unless they are installed already: a machine on bare metal must not boot a cloud kernel by accident, a container has
# no use for an initramfs, and busybox-static would push out the busybox of the machine's own initramfs. So are etcd,
# Prometheus and libvirt, for the tests: installed, they would begin to serve.
set -eu
cd "$(dirname "$0")/.."

NODE_MAJOR=20
NODE_MINOR=19
KERNEL=linux-image-cloud-amd64
# With drivers for the cards that QEMU emulates, for the test of an e1000.
GENERIC_KERNEL=linux-image-amd64
# What the product, its lab and its tests run.
PACKAGES='qemu-system-x86 cpio ethtool gcc libc6-dev iproute2 mandoc nftables openssl shellcheck spin systemd tcpdump xz-utils'
# What npm needs to compile the optional addons (pcap, raw-socket); wanted only when npm packages are installed.
ADDON_PACKAGES='g++ make python3 libpcap-dev'
# For the tests of the status page in a browser, and its pictures; only with --browser. They are large: up to 200 MB to
# fetch and 700 MB on the disk with what they depend on.
BROWSER_PACKAGES='chromium fonts-dejavu-core'
SOURCES='common config install proxy coordinator witness ctl lab demo test bench'
# Written last by each step, so that a step that was interrupted is done again.
MODULES_STAMP=node_modules/.curling-set-up
BUILD_STAMP=build/.curling-sources

say() {
  printf 'set-up: %s\n' "$*"
}

# The status is curling's for "this machine lacks something" (common/errors.ts).
fail() {
  printf 'set-up: %s\n' "$*" >&2
  exit 4
}

check_machine() {
  [ "$(id -u)" = 0 ] || fail 'this needs root: it makes network namespaces and taps (and installs missing packages)'
  [ "$(uname -m)" = x86_64 ] || fail "the test guests are for x86_64, this machine is $(uname -m)"
  if ! grep -Eqs '^(ID|ID_LIKE)=.*debian' /etc/os-release || ! command -v apt-get >/dev/null; then
    fail 'this needs Debian 12 or 13 (no such /etc/os-release, or no apt-get)'
  fi
  command -v node >/dev/null || fail "node is not on PATH; curling needs Node $NODE_MAJOR.$NODE_MINOR or later"
  node=$(node -p process.versions.node)
  major=${node%%.*}
  rest=${node#*.}
  if [ "$major" -lt $NODE_MAJOR ] || { [ "$major" -eq $NODE_MAJOR ] && [ "${rest%%.*}" -lt $NODE_MINOR ]; }; then
    fail "this is Node $node; curling needs Node $NODE_MAJOR.$NODE_MINOR or later"
  fi
}

# Prints those of the packages that are not installed.
missing_packages() {
  # dpkg-query complains about packages that it has never heard of; they are missing too.
  installed=$(dpkg-query --show --showformat '${binary:Package} ${db:Status-Status}\n' 2>/dev/null |
    sed -n 's/^\([^ :]*\)\(:[^ ]*\)\{0,1\} installed$/\1/p')
  for package in "$@"; do
    printf '%s\n' "$installed" | grep -Fqx "$package" || printf '%s\n' "$package"
  done
}

# The package lists are fetched at most once, and only when something is missing.
LISTS_FRESH=no
update_lists() {
  [ $LISTS_FRESH = no ] || return 0
  say 'fetching the package lists'
  apt-get update -qq || fail 'apt-get update failed; is the network up?'
  LISTS_FRESH=yes
}

install_packages() {
  update_lists
  say "installing Debian packages: $*"
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-remove --no-install-recommends "$@" </dev/null >build/apt.log 2>&1 || {
    tail -n 20 build/apt.log >&2
    return 1
  }
}

install_debian() {
  # shellcheck disable=SC2086  # a list of words
  missing=$(missing_packages $PACKAGES)
  if [ -z "$missing" ]; then
    say 'Debian packages: nothing missing'
    return
  fi
  # shellcheck disable=SC2086
  install_packages $missing || fail 'apt-get could not install them (the whole log: build/apt.log)'
}

install_browser() {
  # shellcheck disable=SC2086
  missing=$(missing_packages $BROWSER_PACKAGES)
  if [ -z "$missing" ]; then
    say 'browser: present'
    return
  fi
  # shellcheck disable=SC2086
  (install_packages $missing) || say 'going on without a browser: the tests of the status page in one will be skipped'
}

kernel_present() {
  for image in "$1"/boot/vmlinuz-*-cloud-amd64; do
    [ ! -e "$image" ] || return 0
  done
  return 1
}

# unpack FOLDER PACKAGE…: the packages' files below build/FOLDER, without installing them.
unpack() {
  folder=$1
  shift
  say "unpacking into build/$folder, not installing: $*"
  rm -rf "build/$folder.new"
  mkdir -p "build/$folder.new"
  (
    cd "build/$folder.new"
    apt-get download -qq "$@" >../apt.log 2>&1 || exit
    for package in ./*.deb; do dpkg-deb --extract "$package" . || exit; done
  ) || {
    tail -n 20 build/apt.log >&2
    fail "$* could not be fetched"
  }
  rm -rf "build/$folder.new/"*.deb "build/$folder"
  mv "build/$folder.new" "build/$folder"
}

fetch_guest_parts() {
  said=present
  if ! kernel_present '' && ! kernel_present build/kernel; then
    update_lists
    package=$(apt-cache depends $KERNEL | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    [ -n "$package" ] || fail "apt knows no $KERNEL; is the main section in its sources?"
    unpack kernel "$package"
    said=fetched
  fi
  if [ ! -d build/busybox ] && [ -n "$(missing_packages busybox-static)" ]; then
    update_lists
    unpack busybox busybox-static
    said=fetched
  fi
  say "kernel and busybox of the guest: $said"
}

# Of its modules only those that the guest loads are kept: all of them are 300 MB.
fetch_generic_kernel() {
  for image in /boot/vmlinuz-[0-9]*[0-9]-amd64 build/kernel-generic/boot/vmlinuz-*; do
    [ ! -e "$image" ] || return 0
  done
  update_lists
  package=$(apt-cache depends $GENERIC_KERNEL | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
  [ -n "$package" ] || fail "apt knows no $GENERIC_KERNEL; is the main section in its sources?"
  unpack kernel-generic "$package"
  find build/kernel-generic -name '*.ko*' ! -name 'virtio*' ! -name '*failover*' ! -name 'e1000.*' -delete
  say 'generic kernel for the guest: fetched'
}

# For the tests of the register in etcd. Installed, it would run as a service that nobody asked for.
fetch_etcd() {
  if command -v etcd >/dev/null || [ -x build/etcd/usr/bin/etcd ]; then
    say 'etcd: present'
    return
  fi
  (update_lists && unpack etcd etcd-server) || say 'going on without etcd: its tests will be skipped'
}

# For the test of the hook. Installed, it would run as a service, with a network of its own. What it depends on comes with
# it, where it is missing.
fetch_libvirt() {
  if [ -x build/libvirt/usr/sbin/libvirtd ]; then
    say 'libvirt: present'
    return
  fi
  wanted='libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients'
  # shellcheck disable=SC2046,SC2086  # lists of words
  (
    update_lists
    missing=$(apt-get install --simulate --no-install-recommends $wanted 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    unpack libvirt $(printf '%s\n' $wanted $missing | sort -u)
  ) || say 'going on without libvirt: its test will be skipped'
}

# For its promtool, which tests the alerts.
fetch_prometheus() {
  if command -v promtool >/dev/null || [ -x build/prometheus/usr/bin/promtool ]; then
    say 'promtool: present'
    return
  fi
  (update_lists && unpack prometheus prometheus) || say 'going on without promtool: its tests will be skipped'
}

# Addons are compiled for one Node: another one needs them anew.
modules_state() {
  printf '%s %s\n' "$(cksum <package-lock.json)" "$(node -p process.versions.modules)"
}

install_modules() {
  if [ "$(cat $MODULES_STAMP 2>/dev/null)" = "$(modules_state)" ]; then
    say 'npm packages: up to date'
    return
  fi
  # shellcheck disable=SC2086
  missing=$(missing_packages $ADDON_PACKAGES)
  if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    install_packages $missing || say 'going on without them: the optional addons will be missing'
  fi
  say 'installing npm packages (npm ci)'
  npm ci --no-audit --no-fund --loglevel=error </dev/null >build/npm.log 2>&1 || {
    tail -n 20 build/npm.log >&2
    fail 'npm ci failed (the whole log: build/npm.log)'
  }
  for addon in pcap raw-socket; do
    [ -d node_modules/$addon ] || say "the optional addon $addon did not compile; what needs it will say so"
  done
  modules_state >$MODULES_STAMP
}

# Every source by its name: a deleted one changes this list.
list_sources() {
  # shellcheck disable=SC2086  # folders that do not exist yet are no error
  find $SOURCES -name '*.ts' 2>/dev/null | LC_ALL=C sort
}

sources_unchanged() {
  [ -e $BUILD_STAMP ] && [ "$(list_sources)" = "$(cat $BUILD_STAMP)" ] || return 1
  # shellcheck disable=SC2086
  newer=$(find tsconfig.json $MODULES_STAMP $SOURCES -newer $BUILD_STAMP ! -type d 2>/dev/null | head -n 1)
  [ -z "$newer" ]
}

# What was compiled from a source that is gone would still be found, and run.
remove_stale_outputs() {
  for folder in $SOURCES; do
    [ ! -d "build/$folder" ] || find "build/$folder" -name '*.js'
  done | while IFS= read -r output; do
    source=${output#build/}
    [ -e "${source%.js}.ts" ] || rm -f "$output" "$output.map"
  done
}

build() {
  if sources_unchanged; then
    say 'build: up to date'
    return
  fi
  say 'building (tsc)'
  # Listed before: a source that changes meanwhile is newer than the stamp.
  list_sources >$BUILD_STAMP.new
  remove_stale_outputs
  node node_modules/typescript/bin/tsc -p tsconfig.json || fail 'the build failed'
  mv $BUILD_STAMP.new $BUILD_STAMP
}

browser=no
case ${1-} in
  '') ;;
  --browser) browser=yes ;;
  *)
    printf 'usage: setup.sh [--browser]\n' >&2
    exit 2
    ;;
esac
check_machine
mkdir -p build
install_debian
[ $browser = no ] || install_browser
fetch_guest_parts
[ $browser = no ] || fetch_generic_kernel
fetch_etcd
fetch_prometheus
fetch_libvirt
install_modules
build
