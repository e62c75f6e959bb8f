#!/usr/bin/env bash
# test_unknown_norm.sh [--tap=FILE]: sets of values that are added to the model but not to an engine must
# not run as others there: each engine's table of norms fails to compile without their row.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r "$top/include" "$tmp/include"
sed -i 's/NL_SETS_GROUPS, NL_SETS }/NL_SETS_GROUPS, NL_SETS_OTHER, NL_SETS }/' "$tmp/include/normlab/model.h"

# compiles INCLUDE FILE
compiles() { "${CC:-cc}" -std=c17 -D_GNU_SOURCE -Wall -Werror -march=x86-64-v3 -fsyntax-only -I "$1" -I "$top/src/host" -I "$top/tests/simt" "$2" >"$tmp/said" 2>&1; }
is_named() {
  local file=$top/src/host/$1.c
  compiles "$top/include" "$file" || return 1
  ! compiles "$tmp/include" "$file" && grep -q 'a row for each kind of sets' "$tmp/said"
}

cases=(cpu/plain/norms cpu/fast/norms_fast cuda/{cuda_step,verify_cuda})
failed=0
{
  echo "1..${#cases[@]}"
  for i in "${!cases[@]}"; do
    if is_named "${cases[i]}"; then
      echo "ok $((i + 1)) - ${cases[i]}"
    else
      echo "not ok $((i + 1)) - ${cases[i]}" && failed=1
      tail -n 20 "$tmp/said" | sed 's/^/# /'
    fi
  done
} >"$tap"
[ "$failed" -eq 0 ] || { [ "$tap" = /dev/stdout ] || grep -A 20 '^not ok' "$tap"; }
exit "$failed"
