#!/bin/sh
# deb.sh [DIR]: makes curling_VERSION_ARCHITECTURE.deb in DIR, by default build/, of this checkout, which must be built:
# npm run deb. Which files is said in stage.sh. The same sources, modules and SOURCE_DATE_EPOCH (default: the time of
# the last commit) make the same bytes.
set -eu
umask 022
cd "$(dirname "$0")/.."

say() {
  printf 'deb: %s\n' "$*"
}

# The status is curling's for "this machine lacks something" (common/errors.ts).
command -v dpkg-deb >/dev/null || { printf 'deb: dpkg-deb is not installed; this needs Debian\n' >&2; exit 4; }

version=$(node -p 'require("./package.json").version')
# Programs of the processor are in it: koffi, lz4-napi, raw-socket.
architecture=$(dpkg --print-architecture)
folder=${1:-build}
root=$folder/deb
file=$folder/curling_${version}_$architecture.deb
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH

# Debian's form of a licence statement. Each module has its own text beside it.
copyright() {
  cat <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: curling

Files: *
Copyright: The curling developers
License: GPL-2+
 On Debian systems the text is in /usr/share/common-licenses/GPL-2.

END
  # shellcheck disable=SC2016  # the text is JavaScript
  (cd "$root/usr/lib/curling" && find node_modules -name package.json | LC_ALL=C sort) | node -e '
    const { readFileSync } = require("fs");
    for (const file of readFileSync(0, "utf8").trim().split("\n")) {
      const { name, version, license, author } = JSON.parse(readFileSync(file, "utf8"));
      if (!name || !version) continue;
      const folder = file.replace(/\/package\.json$/, "");
      const holder = typeof author === "object" ? author.name : author?.replace(/ *[<(].*/, "");
      console.log(`Files: usr/lib/curling/${folder}/*`);
      console.log(`Copyright: ${holder || `the authors of ${name}`}`);
      console.log(`License: ${license}\n The text of its authors is in that folder.\n`);
    }'
}

rm -rf "$root" "$file"
say 'laying out the files'
sh install/stage.sh "$root"
mkdir -p "$root/DEBIAN"
copyright >"$root/usr/share/doc/curling/copyright"
for script in preinst postinst prerm postrm; do
  cp install/debian/$script "$root/DEBIAN/$script"
  chmod 0755 "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f | LC_ALL=C sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
(cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' | LC_ALL=C sort | cut -c 3- |
  xargs md5sum) >"$root/DEBIAN/md5sums"
size=$(find "$root" -type f ! -path '*/DEBIAN/*' -printf '%s\n' |
  awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" install/debian/control \
  >"$root/DEBIAN/control"
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
say 'packing'
dpkg-deb --root-owner-group -Zxz --build "$root" "$file" >/dev/null
rm -rf "$root"
say "$file: $(stat -c %s "$file") bytes"
