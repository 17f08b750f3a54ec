#!/bin/sh
# Prints the processes that run from an installed curling, separated by spaces: it must not be taken away from under
# them. Those of containers, which have a file system of their own, are left out.
root=$(stat -Lc %d:%i /)
# The brackets are for grep, which must not find itself.
grep -al '[/]usr/lib/curling/build/' /proc/[0-9]*/cmdline 2>/dev/null | while IFS= read -r found; do
  process=${found%/cmdline}
  [ "$(stat -Lc %d:%i "$process/root" 2>/dev/null)" != "$root" ] || printf '%s\n' "${process#/proc/}"
done | paste -sd ' '
