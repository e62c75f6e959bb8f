#!/usr/bin/env bash
# test_unknown_norm.sh [--tap=FILE]: sets of values that are added to the model but not to an engine must
# not run as others there: each engine's table of norms fails to compile without their row.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$top/tests/support/tap.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r "$top/include" "$tmp/include"
sed -i 's/NL_SETS_GROUPS, NL_SETS }/NL_SETS_GROUPS, NL_SETS_OTHER, NL_SETS }/' "$tmp/include/normlab/model.h"

# compiles INCLUDE FILE
compiles() { "${CC:-cc}" -std=c17 -D_GNU_SOURCE -Wall -Werror -march=x86-64-v3 -fsyntax-only -I "$1" -I "$top/src/host" -I "$top/tests/simt" "$2" >"$tmp/said" 2>&1; }
is_named() {
  local file=$top/src/host/$1.c
  compiles "$top/include" "$file" || { cat "$tmp/said" && return 1; }
  ! compiles "$tmp/include" "$file" && grep 'a row for each kind of sets' "$tmp/said"
}

run_cases "$tap" is_named cpu/plain/norms cpu/fast/norms_fast cuda/{cuda_step,verify_cuda}
