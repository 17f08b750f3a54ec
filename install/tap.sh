# shellcheck shell=sh disable=SC2015,SC2034,SC2154
# The part of curling-install that prepares a tap, and takes that back.
#
# What may be prepared at all is decided by build/proxy/preparation.js, which also reads the state of the network; here
# are only the changes. What the proxy does to the tap, it does and takes back itself (proxy/bridge.ts).

# The record of a tap: lines KEY FOUND MADE, in $record.
found_of() {
  printf '%s\n' "$record" | sed -n "s/^$1 \([^ ]*\) .*/\1/p"
}

made_of() {
  printf '%s\n' "$record" | sed -n "s/^$1 [^ ]* //p"
}

# plan KEY FOUND MADE: adds it to $planned. What an earlier run found is what was found.
plan() {
  earlier=$(found_of "$1")
  planned="$planned$1 ${earlier:-$2} $3
"
}

# settle KEY MADE NOW: what was not known when the plan was made.
settle() {
  planned=$(printf '%s' "$planned" | sed "s/^\($1 [^ ]*\) $2\$/\1 $3/")
  planned="$planned
"
  save_plan
}

save_plan() {
  record=$planned
  printf '%s' "$planned" | write_record "$record_file"
}

# Leaves only the unit of a record whose links are gone: after a reboot, or when somebody has made the tap anew.
forget_links() {
  record=$(printf '%s\n' "$record" | grep '^unit ' || :)
}

# Whether the record is of the tap that is there now. `new` is one that was being made when a run was interrupted.
record_is_current() {
  [ "$(found_of boot)" = "$boot" ] || return 1
  index=$(made_of tap)
  [ "$index" = new ] || [ "$index" = "$tap_index" ]
}

# Facts that `look` reads.
tap_index='' tap_mac='' tap_mtu='' tap_master='' tap_state='' tap_persists='' tap_used='' tap_served='' tap_closed=''
tap_hook='' tap_isolated='' tap_router='' bridge_name='' bridge_mac='' bridge_mtu=''

# look [--check] TAP [BRIDGE]
look() {
  # A lock that outlives us would be in the way.
  facts=$(node "$app/build/proxy/preparation-main.js" "$@" 9<&-) || exit $?
  eval "$facts"
}

unit_state() {
  unit=curling-proxy@$(printf '%s' "$tap" | sed 's/-/\\x2d/g').service
  unit_now=absent
  for folder in etc/systemd/system lib/systemd/system usr/lib/systemd/system; do
    [ ! -e "$root/$folder/curling-proxy@.service" ] || unit_now=there
  done
  [ $unit_now = there ] || return 0
  if ! command -v systemctl >/dev/null; then
    unit_now=absent
    return
  fi
  # It prints the state and ends with a status when that is not "enabled".
  unit_now=$(systemctl ${root:+--root="$root"} is-enabled "$unit" 2>/dev/null || :)
  [ -n "$unit_now" ] || unit_now=disabled
}

# An address that is above those of other ports: a bridge takes the lowest one of its ports as its own, and this host's
# address must not change. libvirt does the same.
raised_mac() {
  case $1 in
    none) printf 'fe%s' "$(od -An -N5 -tx1 /dev/urandom | tr ' ' ':')" ;;
    *) printf 'fe:%s' "${1#*:}" ;;
  esac
}

make_plan() {
  planned=
  plan boot "$boot" -
  if [ "$tap_index" = none ]; then
    plan tap none new
  else
    plan tap "$tap_index" "$tap_index"
  fi
  if [ "$tap_master" = none ]; then
    plan mac "$tap_mac" "$wanted_mac"
    plan mtu "$tap_mtu" "$bridge_mtu"
    plan master "$tap_master" "$bridge_name"
    plan bridge-mac "$bridge_mac" -
  else
    for key in mac mtu master bridge-mac; do
      [ -z "$(found_of $key)" ] || plan $key x "$(made_of $key)"
    done
  fi
  plan bridge "$bridge_name" -
  plan state "$tap_state" up
  # While a proxy has the tap open, these are the proxy's.
  if [ "$tap_served" = no ] || [ "$tap_closed" = yes ] || [ -n "$(found_of hook)" ]; then
    plan hook "$tap_hook" there
    plan isolated "$tap_isolated" on
    plan router "$tap_router" 2
  fi
  if [ -n "$(found_of unit)" ] || { [ "$enable" = yes ] && [ "$unit_now" != absent ]; }; then
    plan unit "$unit_now" enabled
  fi
}

make_tap() {
  set -- dev "$tap" mode tap vnet_hdr
  [ -z "$owner" ] || set -- "$@" user "$owner"
  [ "$multi_queue" = no ] || set -- "$@" multi_queue
  change ip tuntap add "$@"
  change ip link set dev "$tap" address "$wanted_mac"
  tap_mac=$wanted_mac
  [ "$dry_run" = no ] || return 0
  # From now on the record knows it by its index, too.
  look "$tap" "$bridge_name"
  settle tap new "$tap_index"
}

apply_plan() {
  [ "$tap_index" != none ] || make_tap
  if [ "$tap_master" = none ]; then
    [ "$tap_mac" = "$wanted_mac" ] || change ip link set dev "$tap" address "$wanted_mac"
    [ "$tap_mtu" = "$bridge_mtu" ] || change ip link set dev "$tap" mtu "$bridge_mtu"
    change ip link set dev "$tap" master "$bridge_name"
  fi
  [ "$tap_state" = up ] || change ip link set dev "$tap" up
  if [ "$(made_of unit)" = enabled ] && [ "$unit_now" != enabled ]; then
    change systemctl ${root:+--root="$root"} --quiet enable "$unit"
    unit_now=enabled
  fi
}

# ip would say so only after the record is written. A number need not be anybody's.
check_owner() {
  case $owner in
    *[!0-9]*) id -u -- "$owner" >/dev/null 2>&1 || fail "$USAGE" "--owner: there is no user '$owner' on this host" ;;
  esac
}

prepare() {
  check_owner
  # Before anything is read: what another run makes of it before it lets go of the lock is what counts.
  open_state
  # What is refused leaves no folder behind.
  trap close_state EXIT
  # shellcheck disable=SC2086  # no bridge is no argument
  look --check "$tap" $bridge
  [ "$tap_index" = none ] || [ "$owner$multi_queue" = no ] ||
    say "$tap is there: --owner and --multi-queue change nothing"
  unit_state
  record=
  [ ! -e "$record_file" ] || record=$(cat "$record_file")
  record_is_current || forget_links
  wanted_mac=$tap_mac
  case $tap_mac in
    fe:*) ;;
    *) wanted_mac=$(raised_mac "$tap_mac") ;;
  esac
  make_plan
  save_plan
  apply_plan
  [ "$dry_run" = no ] || return 0
  look --check "$tap" "$bridge_name"
  settle bridge-mac - "$bridge_mac"
  [ "$tap_master $tap_state" = "$bridge_name up" ] || fail "$FAILED" "$tap is not what was made of it; run this again"
  tell_prepared
}

tell_prepared() {
  say "$tap is a port of $bridge_name and up"
  [ "$tap_persists" = yes ] ||
    say "$tap goes when the QEMU that made it ends, and its proxy with it: make it beforehand"
  case $unit_now in
    enabled) say "$unit starts at boot; now: systemctl start '$unit'" ;;
    absent) say "no systemd, or no curling-proxy@.service (curling-install --files): nothing starts the proxy" ;;
    *) say "$unit is $unit_now: it does not start by itself" ;;
  esac
  [ "$(found_of tap)" != none ] && [ "$(found_of master)" != none ] ||
    say "a reboot takes tap and port away; --print-config ifupdown (or networkd) says what makes them at boot"
}

# back KEY NOW: whether what was made of KEY is still so, and was otherwise before. `-` is whatever it became.
back() {
  found=$(found_of "$1")
  made=$(made_of "$1")
  [ -n "$found" ] && [ "$found" != "$2" ] && { [ "$made" = "$2" ] || [ "$made" = - ]; }
}

check_undo() {
  [ "$tap_served" = no ] ||
    fail "$UNFIT" "CURLING_BUSY: a curling-proxy serves $tap; end it first: systemctl stop 'curling-proxy@$tap'"
  [ "$tap_used" = yes ] && [ "$force" = no ] || return 0
  [ "$(found_of tap)" != none ] && ! back master "$tap_master" ||
    fail "$UNFIT" "CURLING_BUSY: a guest is on $tap, and would lose its network; end it first, or give --force"
  [ "$tap_closed" = no ] ||
    fail "$UNFIT" \
      "CURLING_BUSY: a guest is on $tap, which was left closed; end it, or give --force if you know it may speak"
}

undo_tap() {
  if [ ! -e "$record_file" ]; then
    say "nothing is recorded for $tap"
    return
  fi
  open_state
  # Read only now: what another run has made of it before it let go of the lock is what counts.
  record=$(cat "$record_file" 2>/dev/null) || {
    close_state
    fail "$UNFIT" "CURLING_BUSY: another curling-install has just undone $tap"
  }
  look "$tap" "$(found_of bridge)"
  unit_state
  links=gone
  if record_is_current; then
    check_undo
    links=there
  fi
  ! back unit "$unit_now" || change systemctl ${root:+--root="$root"} --quiet disable "$unit"
  [ $links = gone ] || undo_links
  [ "$dry_run" = no ] || return 0
  rm -f "$record_file" "$record_file.new"
  close_state
  if [ $links = gone ]; then
    say "$tap is not the one that was prepared (a reboot?): it stays as it is"
  else
    say "$tap is as it was"
  fi
}

undo_links() {
  bridge=$(found_of bridge)
  # With its last port a bridge loses the address that it had from its ports.
  give_mac=no
  ! back bridge-mac "$bridge_mac" || give_mac=yes
  if [ "$(found_of tap)" = none ]; then
    [ "$tap_index" = none ] || change ip link delete dev "$tap"
  elif [ "$tap_index" != none ]; then
    undo_marks
    ! back state "$tap_state" || change ip link set dev "$tap" down
    if back master "$tap_master"; then
      change ip link set dev "$tap" nomaster
    else
      ! back isolated "$tap_isolated" || change bridge link set dev "$tap" isolated off
      ! back router "$tap_router" || change bridge link set dev "$tap" mcast_router "$(found_of router)"
    fi
    ! back mtu "$tap_mtu" || change ip link set dev "$tap" mtu "$(found_of mtu)"
    ! back mac "$tap_mac" || change ip link set dev "$tap" address "$(found_of mac)"
  fi
  [ $give_mac = yes ] && [ "$dry_run" = no ] || return 0
  look "$tap" "$bridge"
  [ "$bridge_name" = none ] || [ "$bridge_mac" = "$(found_of bridge-mac)" ] ||
    change ip link set dev "$bridge" address "$(found_of bridge-mac)"
}

# Opens a tap that a killed proxy left closed, and removes the hook that one leaves when it was in bypass.
undo_marks() {
  if [ "$tap_closed" = yes ] && [ "$tap_master" != none ]; then
    # No files: they would name the other taps of the guest, too.
    change node "$app/build/proxy/main.js" --config none --tap "$tap" --restore
  elif [ "$tap_closed" = yes ]; then
    change tc filter delete dev "$tap" ingress protocol all pref 1
  fi
  [ "$dry_run" = yes ] || look "$tap" "$bridge"
  back hook "$tap_hook" || return 0
  # What somebody else has put there since is not ours to remove.
  [ -n "$(tc filter show dev "$tap" ingress; tc filter show dev "$tap" egress)" ] ||
    change tc qdisc delete dev "$tap" clsact
}

print_boot_config() {
  if [ "$print_config" = ifupdown ]; then
    extra=${owner:+ user $owner}
    [ "$multi_queue" = no ] || extra="$extra multi_queue"
    cat <<END
# /etc/network/interfaces, after the stanza of $bridge
auto $tap
iface $tap inet manual
    pre-up ip link show dev $tap >/dev/null 2>&1 || ip tuntap add dev $tap mode tap vnet_hdr$extra
    pre-up ip link set dev $tap address $(raised_mac none) mtu \$(cat /sys/class/net/$bridge/mtu)
    pre-up ip link set dev $tap master $bridge
    up ip link set dev $tap up
    down ip link set dev $tap down
END
    return
  fi
  cat <<END
# /etc/systemd/network/$tap.netdev (and MTUBytes= when $bridge has another MTU than 1500)
[NetDev]
Name=$tap
Kind=tap
MACAddress=$(raised_mac none)

[Tap]
VNetHeader=yes${owner:+
User=$owner}$([ "$multi_queue" = no ] || printf '\nMultiQueue=yes')

# /etc/systemd/network/$tap.network
[Match]
Name=$tap

[Link]
RequiredForOnline=no

[Network]
Bridge=$bridge
LinkLocalAddressing=no
ConfigureWithoutCarrier=yes
END
}
