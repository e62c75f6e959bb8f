#!/usr/bin/env bash
# test_sass.sh NVCC [--tap=FILE]: what the machine code of every kernel shows on sm_90, held against
# sass-sm90.txt. With the version of nvcc that made the table all of it must agree; with another one
# no kernel may spill, use local memory or divide.
#
# After a change that is meant: bash tests/test_sass.sh NVCC --table >tests/sass-sm90.txt
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
nvcc=$1
table=$here/sass-sm90.txt
mode=${2-} tap=/dev/stdout
[[ $mode != --tap=* ]] || tap=${mode#--tap=}
known=13.0.88
# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"

skip() {
  printf '1..1\nok - sass::table # SKIP %s\n' "$1" >"$tap"
  echo "sass: skipped, $1"
  exit 0
}

# nvdisasm beside nvcc, in PATH, or where scripts/setup.sh lays NVIDIA's wheels.
find_nvdisasm() {
  local place
  for place in "$(dirname "$(readlink -f "$nvcc")")/nvdisasm" "$(command -v nvdisasm)" \
    "${XDG_CACHE_HOME:-${HOME-}/.cache}"/normlab/cuda-13.0/nvidia/cu13/bin/nvdisasm; do
    [ ! -x "$place" ] || { echo "$place" && return; }
  done
  return 1
}

command -v "$nvcc" >/dev/null || skip 'no nvcc (scripts/test.sh --all fetches it)'
nvcc=$(command -v "$nvcc")
nvdisasm=$(find_nvdisasm) || skip 'no nvdisasm (scripts/test.sh --all fetches it)'
version=$("$nvcc" --version | sed -n 's/.*, V\([0-9.]*\)$/\1/p')
columns='file kernel registers spilled local divisions doubles trip loads'
made=$(python3 "$here/support/sass.py" --nvcc "$nvcc" --nvdisasm "$nvdisasm") || exit 1

if [ "$mode" = --table ]; then
  printf '# Made by tests/test_sass.sh with nvcc %s for sm_90; columns: tests/support/sass.py.\n' "$version"
  printf '%s\n%s\n' "$columns" "$made" | column -t
  exit
fi

# Rows of the table, their blanks made one.
rows() { sed '/^#/d' "$table" | tr -s ' ' | tail -n +2; }

test_table() {
  [ "$version" = "$known" ] || { echo "nvcc $version, not $known" && return; }
  diff <(rows) - <<<"$made" || fail 'the machine code is another than sass-sm90.txt says'
}

test_every_kernel() { # whatever compiled it
  [ "$(wc -l <<<"$made")" -ge "$(rows | wc -l)" ] || fail "fewer kernels than the table has: $made"
  awk '$4 + $5 + $6 > 0 {print "spills, local memory or divisions: " $0; bad = 1} END {exit bad}' <<<"$made"
}

# The first block's patches are weighed in double at the end of an image: w . M w cancels.
test_no_doubles_in_loops() {
  awk '$7 > 0 && $2 !~ /^first_(moments|backward|gradient)/ {print "doubles in a loop: " $0; bad = 1} END {exit bad}' <<<"$made"
}

# Pools of 2: with V = 4 two rows of two windows, twice; with V = 2 of one, four times.
test_pooled_loads() {
  awk '$2 ~ /[<,]2,4>$/ {n++; if ($9 !~ /4x128$/) {print "narrow loads: " $0; bad = 1}}
    $2 ~ /[<,]2,2>$/ {n++; if ($9 !~ /([89]|[1-9][0-9])x64$/) {print "narrow loads: " $0; bad = 1}}
    END {exit bad || n == 0}' <<<"$made"
}

run_tests sass "$tap"
