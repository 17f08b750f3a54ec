#!/bin/sh
# stage.sh DIR: lays out below DIR what an installed curling is, from this checkout, which must be built. It is the one
# list of files: curling-install --files copies from it, and the Debian package is made of it.
#
# /usr/lib/curling is laid out as a checkout is, so that every part finds the others. What may be there or not (units,
# manual pages, examples) is taken by its place; a program that lacks a module fails the tests of this script.
set -eu
umask 022

[ $# = 1 ] || { printf 'usage: stage.sh DIR\n' >&2; exit 2; }
mkdir -p "$1"
stage=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
app=$stage/usr/lib/curling

# Sources that only developers run.
DEVELOPMENT='bench demo lab test'
# Optional packages that no program of curling loads: the tests' and the lab's, and what only compiles addons.
UNUSED_MODULES='node_modules/pcap node_modules/nan node_modules/@types node_modules/raw-socket/node_modules/nan'

fail() {
  printf 'stage.sh: %s\n' "$*" >&2
  exit 4
}

# put MODE SOURCE TARGET: TARGET is below the stage.
put() {
  mkdir -p "$stage/${3%/*}"
  cp "$2" "$stage/$3"
  chmod "$1" "$stage/$3"
}

# put_page SOURCE TARGET: compressed, without the time.
put_page() {
  mkdir -p "$stage/${2%/*}"
  gzip -9n <"$1" >"$stage/$2.gz"
  chmod 0644 "$stage/$2.gz"
}

source_folders() {
  for folder in */; do
    folder=${folder%/}
    case " $DEVELOPMENT build docs install node_modules " in
      *" $folder "*) ;;
      *) [ -z "$(find -H "$folder" -name '*.ts' | head -n 1)" ] || printf '%s\n' "$folder" ;;
    esac
  done
}

# take: copies the files whose paths are on standard input to the same places below the installed program.
take() {
  tar --no-recursion -cf - -T - | tar -C "$app" --no-same-owner -xf -
}

# By their sources: what was compiled of a source that is gone is left behind in build/.
stage_programs() {
  source_folders | while IFS= read -r folder; do
    find -H "$folder" -type f
  done | sed '/\.d\.ts$/d; s|^\(.*\)\.ts$|build/\1.js|' >"$stage/.programs"
  while IFS= read -r output; do
    [ -e "$output" ] || fail "there is no $output: npm ci, then npm run build"
  done <"$stage/.programs"
  take <"$stage/.programs"
  rm "$stage/.programs"
  # The maps are not there, and debuggers would look for them.
  find "$app/build" -name '*.js' -exec sed -i '/^\/\/# sourceMappingURL=/d' {} +
}

# The folders of npm's packages that the programs need: without those for development, and without those of other
# machines, which npm did not install.
production_modules() {
  node -e '
    const { packages } = JSON.parse(require("fs").readFileSync("package-lock.json", "utf8"));
    const needed = Object.entries(packages).filter(([path, { dev }]) => path !== "" && !dev);
    for (const [path] of needed) if (require("fs").existsSync(path)) console.log(path);'
}

stage_modules() {
  production_modules | while IFS= read -r module; do
    skip=no
    for unused in $UNUSED_MODULES; do
      case $module/ in "$unused"/*) skip=yes ;; esac
    done
    [ $skip = yes ] || module_files "$module"
  done | take
}

# What runs, and what says under which terms.
module_files() {
  find "$1" -mindepth 1 \
    \( -name node_modules -o -name test -o -name tests -o -name specs -o -name fixtures -o -name benchmarks \
    -o -name example -o -name obj.target -o -name .deps -o -name .github -o -name 'musl_*' \) -prune \
    -o -type f ! -name 'bench*.js' ! -name test.js ! -name 'example.*js' ! -name gruntfile.js \
    ! -name tsconfig.json ! -name eslint.config.js ! -name 'uPlot.[ce]*js' ! -name uPlot.iife.js \
    \( -name '*.js' -o -name '*.cjs' -o -name '*.mjs' -o -name '*.json' -o -name '*.css' -o -name '*.wasm' \
    -o -name '*.node' -o -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) -print
}

# wrapper NAME FOLDER PROGRAM
wrapper() {
  mkdir -p "$stage/$2"
  printf '#!/bin/sh\nexec node /usr/lib/curling/build/%s/main.js "$@"\n' "$3" >"$stage/$2/$1"
  chmod 0755 "$stage/$2/$1"
}

stage_commands() {
  wrapper curlingctl usr/bin ctl
  for program in proxy coordinator witness; do
    wrapper curling-$program usr/sbin $program
  done
  for part in curling-install record.sh tap.sh files.sh running.sh; do
    put 0644 install/$part usr/lib/curling/install/$part
  done
  printf '#!/bin/sh\nexec sh /usr/lib/curling/install/curling-install "$@"\n' >"$stage/usr/sbin/curling-install"
  chmod 0755 "$stage/usr/sbin/curling-install"
}

# each FOLDER: its files, with their paths in it; none when there is no such folder.
each() {
  [ ! -d "$1" ] || (cd "$1" && find . -type f | sed 's/^\.\///' | LC_ALL=C sort)
}

stage_system() {
  each install/systemd | while IFS= read -r unit; do
    put 0644 "install/systemd/$unit" "lib/systemd/system/$unit"
  done
  each docs/man | while IFS= read -r page; do
    case $page in
      *.[1578]) put_page "docs/man/$page" "usr/share/man/man${page##*.}/$page" ;;
    esac
  done
  completions=usr/share/bash-completion/completions
  mkdir -p "$stage/$completions"
  node build/ctl/main.js completion bash >"$stage/$completions/curlingctl"
  chmod 0644 "$stage/$completions/curlingctl"
  for kind in grafana prometheus; do
    each install/$kind | while IFS= read -r file; do
      put 0644 "install/$kind/$file" "usr/share/curling/$kind/$file"
    done
  done
  # Programs of others run it: it is the operator who puts it where they look.
  each install/libvirt | while IFS= read -r hook; do
    put 0755 "install/libvirt/$hook" "usr/share/curling/libvirt/$hook"
  done
}

# Nobody but root reads what may name keys and hosts. The folder's mode is that which the units give it.
stage_configuration() {
  for folder in etc/curling etc/curling/conf.d etc/curling/vm etc/curling/hooks.d; do
    mkdir -p "$stage/$folder"
    chmod 0755 "$stage/$folder"
  done
  each install/etc | while IFS= read -r file; do
    put 0640 "install/etc/$file" "etc/curling/$file"
  done
}

stage_documents() {
  for document in README.md docs/*.md docs/images/*.png; do
    put 0644 "$document" "usr/share/doc/curling/$document"
  done
  put_page CHANGELOG.md usr/share/doc/curling/changelog
}

mkdir -p "$app"
stage_programs
stage_modules
put 0644 package.json usr/lib/curling/package.json
find "$app" -type d -exec chmod 0755 {} +
find "$app" -type f -exec chmod 0644 {} +
stage_commands
stage_system
stage_configuration
stage_documents
