#!/usr/bin/env bash
# test_norm_row.sh [--tap=FILE]: a norm that fits the table's columns is a row and its name, no more: tests/norm_row.patch
# adds one to a copy of the tree, and the fused CPU engine, the executor of the kernels, and finite differences agree on
# it with double precision.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
patch=$top/tests/norm_row.patch
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$top" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T -) | tar -x -C "$copy"

is_small() { [ "$(grep -c '^+++ ' "$patch")" -le 3 ]; }
applies() { patch -d "$copy" -p1 -s <"$patch"; }
builds() { # PRESET TEST...
  (cd "$copy" && cmake --preset "$1" -DNORMLAB_CUDA=OFF && cmake --build "build/$1" --target "${@:2}")
}
on_the_cpu() { builds release test_network test_any_network; }
on_the_executor() { builds simt test_any_network_cuda; }
finite_differences() { "$copy/build/release/tests/test_network" --filter 'network/gradient_with_every_norm*'; }
# The random networks have to hold the new norm, or their agreement would say nothing of it.
agree() { # PROGRAM BACKEND COUNT
  NL_ANY_COUNT=$3 "$1" --filter 'any_network*/trains_*' >"$copy/any.log" 2>&1
  local code=$?
  cat "$copy/any.log"
  [ "$code" -eq 0 ] && grep -Eq "^any: $2: +[1-9][0-9]*  norm group_rms$" "$copy/any.log"
}
cpu_agrees() { agree "$copy/build/release/tests/test_any_network" cpu 60; }
executor_agrees() { agree "$copy/build/simt/tests/simt/test_any_network_cuda" cuda 30; }

cases=(is_small applies on_the_cpu finite_differences cpu_agrees on_the_executor executor_agrees)
failed=0
{
  echo "1..${#cases[@]}"
  for i in "${!cases[@]}"; do
    if "${cases[i]}" >"$copy/said" 2>&1; then
      echo "ok $((i + 1)) - ${cases[i]}"
    else
      echo "not ok $((i + 1)) - ${cases[i]}" && failed=1
      tail -n 20 "$copy/said" | sed 's/^/# /'
    fi
  done
} >"$tap"
[ "$failed" -eq 0 ] || { [ "$tap" = /dev/stdout ] || grep -A 20 '^not ok' "$tap"; }
exit "$failed"
