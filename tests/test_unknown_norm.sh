#!/usr/bin/env bash
# test_unknown_norm.sh [--tap=FILE]: a kind of norm that is added to the model but not to an engine must not run as
# another there: the compiler names it wherever an engine chooses by the kind.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp -r "$top/include" "$tmp/include"
sed -i 's/NL_STATS_GROUP } nl_stats/NL_STATS_GROUP, NL_STATS_OTHER } nl_stats/' "$tmp/include/normlab/model.h"

# compiles INCLUDE FILE
compiles() { "${CC:-cc}" -std=c17 -D_GNU_SOURCE -Wall -Werror -march=x86-64-v3 -fsyntax-only -I "$1" -I "$top/src/host" -I "$top/tests/simt" "$2" >"$tmp/said" 2>&1; }
is_named() {
  local file=$top/src/host/$1.c
  compiles "$top/include" "$file" || return 1
  ! compiles "$tmp/include" "$file" && grep -q NL_STATS_OTHER "$tmp/said"
}

cases=(cpu/plain/{net_plain,verify_plain} cpu/fast/{program_fast,ops_fast,verify_fast} cuda/{cuda_step,verify_cuda})
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
