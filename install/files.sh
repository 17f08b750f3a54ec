# shellcheck shell=sh disable=SC2015,SC2154
# The part of curling-install that installs curling's files from a checkout and removes them. Which files: stage.sh.
#
# The record is one line for each file and folder that was not there before: `file SUM ./PATH` or `folder - ./PATH`.
# Files below etc/ are the operator's: one that is there is never written, one that was changed is never removed.

# file_sums FOLDER: `SUM PATH` of each path on standard input that is a file below FOLDER.
file_sums() {
  [ -d "$1" ] || return 0 # a --destdir that a dry run does not make
  (cd "$1" && while IFS= read -r path; do
    [ ! -f "$path" ] || printf '%s\n' "$path"
  done | xargs -r sha256sum | sed 's/  / /')
}

# What to do with each file: ACTION SUM PATH. From three lists of SUM PATH: recorded, there now, new.
#   keep   somebody else's, or changed by the operator; its record stays when there is one
#   write  not there, or ours
#   remove of an earlier version
#   taken  another program's
choose_actions() {
  awk '
    FILENAME == ARGV[1] { recorded[$2] = $1; next }
    FILENAME == ARGV[2] { now[$2] = $1; next }
    {
      fresh[$2] = $1
      etc = $2 ~ /^\.\/etc\//
      if (!($2 in now)) print "write", $1, $2
      else if (!($2 in recorded)) print (now[$2] == $1 || etc ? "keep" : "taken"), "-", $2
      else if (!etc || now[$2] == recorded[$2]) print "write", $1, $2
      else print "keep", recorded[$2], $2
    }
    END {
      for (path in recorded) if (!(path in fresh) && path in now) {
        if (now[path] == recorded[path] || path !~ /^\.\/etc\//) print "remove", "-", path
      }
    }' "$1" "$2" "$3"
}

recorded_files() {
  [ ! -e "$state/files" ] || sed -n 's/^file //p' "$state/files"
}

# The folders that are missing and those that an earlier run made, outer ones first.
folders_to_record() {
  {
    [ ! -e "$state/files" ] || sed -n 's/^folder - //p' "$state/files"
    (cd "$stage" && find . -mindepth 1 -type d) | while IFS= read -r path; do
      [ -d "$root/$path" ] || printf '%s\n' "$path"
    done
  } | LC_ALL=C sort -u
}

# A folder for the time of this run. A shell that a signal ends runs no EXIT trap by itself.
make_work() {
  work=
  trap '[ -z "$work" ] || rm -rf "$work"' EXIT
  trap 'exit "$FAILED"' HUP INT TERM
  work=$(mktemp -d)
}

check_files_installation() {
  [ -e "$app/install/stage.sh" ] || fail "$UNFIT" '--files: installs from a checkout; this curling-install is installed'
  [ ! -e "$root/var/lib/dpkg/info/curling.list" ] ||
    fail "$UNFIT" 'curling is installed as a Debian package; remove that first'
}

install_files() {
  [ -n "$root" ] || check_root
  check_tools node tar awk sha256sum flock
  check_files_installation
  make_work
  stage=$work/stage
  sh "$app/install/stage.sh" "$stage" || exit $?
  open_state
  recorded_files >"$work/recorded"
  (cd "$stage" && find . -type f | LC_ALL=C sort) >"$work/paths"
  file_sums "$stage" <"$work/paths" >"$work/new"
  { cat "$work/paths"; cut -d ' ' -f 2 "$work/recorded"; } | LC_ALL=C sort -u | file_sums "$root/" >"$work/now"
  choose_actions "$work/recorded" "$work/now" "$work/new" >"$work/actions"
  taken=$(sed -n 's/^taken - \./  /p' "$work/actions")
  if [ -n "$taken" ]; then
    close_state
    fail "$UNFIT" "these files are there and not curling's; nothing is changed:
$taken"
  fi
  {
    folders_to_record | sed 's/^/folder - /'
    sed -n 's/^write /file /p; s/^keep \([^-]\)/file \1/p' "$work/actions"
  } | write_record "$state/files"
  write_files
  say "installed in ${root:-/}; nothing is started or enabled"
  sed -n 's/^keep [^ ]* \.\(.*\)/curling-install: \1 stays as it is/p' "$work/actions"
}

write_files() {
  (cd "$stage" && find . -mindepth 1 -type d | LC_ALL=C sort) >"$work/folders"
  sed -n 's/^write [^ ]* //p' "$work/actions" >"$work/written"
  if [ "$dry_run" = yes ]; then
    sed 's/^\./install /' "$work/written"
    sed -n 's/^remove - \./rm /p' "$work/actions"
    return
  fi
  while IFS= read -r folder; do
    [ -d "$root/$folder" ] || mkdir -m "$(stat -c %a "$stage/$folder")" "$root/$folder"
  done <"$work/folders"
  # Those of etc/ one by one, each whole or not at all: a torn one would pass for the operator's.
  grep '^\./etc/' "$work/written" | while IFS= read -r path; do
    cp -p "$stage/$path" "$root/$path.curling-new"
    mv "$root/$path.curling-new" "$root/$path"
  done
  grep -v '^\./etc/' "$work/written" | tar -C "$stage" -cf - -T - | tar -C "$root/" --no-same-owner -xpf - ||
    fail "$FAILED" 'the files could not all be written; run this again, or with --undo'
  sed -n 's/^remove - //p' "$work/actions" | (cd "$root/" && xargs -r rm -f)
  reload_units
}

# Daemons that run from the files would miss what they have not read yet.
check_unused() {
  [ "$force" = no ] && [ -z "$root" ] || return 0
  users=$(sh "$app/install/running.sh")
  [ -z "$users" ] ||
    fail "$UNFIT" "CURLING_BUSY: programs run from the files: $users; end them first, or give --force"
}

undo_files() {
  [ -n "$root" ] || check_root
  check_tools awk sha256sum flock
  if [ ! -e "$state/files" ]; then
    say 'no files are recorded'
    return
  fi
  # Locked before: no tap is prepared with the files while they are looked at and removed.
  open_state
  for record_file in "$state"/tap-*; do
    [ ! -e "$record_file" ] ||
      fail "$UNFIT" "${record_file##*/tap-} is prepared: first curling-install --tap ${record_file##*/tap-} --undo"
  done
  check_unused
  make_work
  recorded_files >"$work/recorded"
  cut -d ' ' -f 2 "$work/recorded" | file_sums "$root/" >"$work/now"
  : >"$work/new"
  choose_actions "$work/recorded" "$work/now" "$work/new" | sed -n 's/^remove - //p' | LC_ALL=C sort >"$work/removed"
  if [ "$dry_run" = yes ]; then
    sed 's/^\./rm /' "$work/removed"
    return
  fi
  (cd "$root/" && xargs -r rm -f) <"$work/removed"
  sed -n 's/^folder - //p' "$state/files" | LC_ALL=C sort -r |
    (cd "$root/" && xargs -r rmdir 2>/dev/null) || : # those that are not empty stay
  cut -d ' ' -f 2 "$work/recorded" | file_sums "$root/" |
    sed 's/^[^ ]* \.\(.*\)/curling-install: \1 was changed and stays/'
  rm -f "$state/files" "$state/files.new"
  close_state
  reload_units
  say 'the files are removed'
}

reload_units() {
  [ -z "$root" ] && [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload
}
