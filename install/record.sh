# shellcheck shell=sh disable=SC2154
# What curling-install remembers in /var/lib/curling/install, for its other parts. A record is written before the first
# change, whole or not at all, and says what was found and what is made of it.

# Makes the folder of the records, and remembers which folders were not there before, the lowest one first: its own, and
# those that systemctl makes below etc/. One run at a time: the lock is on the folder itself, and ends with us however
# we end.
open_state() {
  [ "$dry_run" = no ] || return 0
  made=
  for folder in var var/lib var/lib/curling var/lib/curling/install etc etc/systemd etc/systemd/system; do
    [ -d "$root/$folder" ] || made="./$folder $made"
  done
  (umask 022 && mkdir -p "$state") || fail "$UNFIT" "cannot make $state"
  exec 9<"$state"
  flock -n 9 || fail "$UNFIT" "CURLING_BUSY: another curling-install is at work ($state is locked)"
  [ -z "$made" ] || [ -e "$state/folders" ] || printf '%s\n' "$made" >"$state/folders"
}

# Removes the folders that open_state made, when no record is in them any more.
close_state() {
  [ "$dry_run" = no ] && [ -d "$state" ] || return 0
  made=./var/lib/curling/install
  for entry in "$state"/*; do
    case $entry in
      */folders) made=$(cat "$entry") ;;
      *'/*') ;;
      *) return 0 ;;
    esac
  done
  rm -f "$state/folders"
  # shellcheck disable=SC2086  # a list of folders
  (cd "$root/" && rmdir $made 2>/dev/null) || :
}

# write_record FILE: from standard input, whole or not at all.
write_record() {
  if [ "$dry_run" = yes ]; then
    cat >/dev/null
    printf '# record in %s\n' "$1"
    return
  fi
  cat >"$1.new"
  sync "$1.new"
  mv "$1.new" "$1"
}
