#!/usr/bin/env bash
# test_norm_row.sh [--tap=FILE]: a norm that fits the table's columns is a value, a word and a row, no more:
# tests/norm_row.patch adds one to a copy of the tree, and the fused CPU engine, the executor of the kernels,
# and finite differences agree on it with double precision.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$top/tests/support/tap.sh"
patch=$top/tests/norm_row.patch
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$top"/{CMakeLists.txt,CMakePresets.json,bench,cmake,configs,include,src,tests} "$copy"
programs=$copy/build/release/tests

is_small() { [ "$(grep -c '^+++ ' "$patch")" -le 3 ]; }
# Without the ceiling git would take the folder for part of a repository around it, and skip every file.
applies() {
  (cd "$copy" && GIT_CEILING_DIRECTORIES=$(dirname "$copy") git apply "$patch") &&
    grep -q GROUP_RMS "$copy/src/host/model/norms.c"
}
# One build holds the executor too.
builds() {
  (cd "$copy" && cmake --preset release -DNORMLAB_CUDA=OFF -DNORMLAB_SIMT=ON) &&
    cmake --build "$copy/build/release" --target normlab test_network test_any_network test_any_network_cuda
}
# passes PROGRAM TEST: one test of that name is there, and passes.
passes() {
  "$1" --filter "$2" --verbose >"$copy/log" 2>&1
  local code=$?
  cat "$copy/log"
  [ "$code" -eq 0 ] && grep -q 'Tested: .*1.* Passing: .*1' "$copy/log"
}
finite_differences() { passes "$programs/test_network" network/gradient_with_every_norm_of_the_table; }
# The random networks have to hold the new norm, or their agreement would say nothing of it.
has_norm() { grep -Eq "^any: $1: +[1-9][0-9]*  norm group_rms$" "$copy/log"; }
cpu_agrees() {
  NL_ANY_COUNT=60 passes "$programs/test_any_network" any_network/trains_on_the_cpu_as_in_double_precision_avx2 &&
    has_norm cpu
}
executor_agrees() {
  NL_ANY_COUNT=30 passes "$programs/simt/test_any_network_cuda" any_network_cuda/trains_as_in_double_precision &&
    has_norm cuda
}
# `normlab verify` walks the table of norms: the new one stands in it, and passes.
is_verified() {
  "$copy/build/release/normlab" verify --device cpu >"$copy/log" 2>&1
  local code=$?
  cat "$copy/log"
  [ "$code" -eq 0 ] && grep -Eq '^norm_group_rms +dz .* ok$' "$copy/log"
}

run() { "$1"; }
run_cases "$tap" run is_small applies builds finite_differences cpu_agrees executor_agrees is_verified
