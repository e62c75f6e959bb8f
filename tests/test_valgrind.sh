#!/usr/bin/env bash
# test_valgrind.sh PROGRAM [--tap=FILE]: a toy study under valgrind: trained, gone on with, evaluated,
# reported. What was never written and is looked at, what is touched outside a block, and a block that
# nothing points to any more are failures, in libraries too.
# Not among ctest's tests: scripts/test.sh --all runs it.
set -uo pipefail
program=$(realpath "$1") tap=/dev/stdout
case ${2-} in --tap=*) tap=$(realpath "${2#--tap=}") ;; esac
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"
# shellcheck source=tests/support/toy_data.sh
source "$here/support/toy_data.sh"

# memcheck COMMAND...: exit 99 for an error. valgrind knows no AVX-512.
memcheck() {
  NORMLAB_ISA=avx2 valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --child-silent-after-fork=yes "$@"
}

train() { memcheck "$program" train toy.yaml --data data --device "$1" --quiet --no-report --out run "${@:2}"; }

prepare() {
  toy_data
  sed -i 's/norm: layer/norm: batch/; s/^data: .*/data: {batch: 8, rotate: 7}/' toy.yaml
}

test_a_study() {
  train cpu --seeds 1-2 --jobs 2 --threads 2 --epochs 1 --log-every 1 --save-every 2 --layer-stats
  train cpu --seeds 1-2 --resume --epochs 2
  memcheck "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --json --logits out.csv
  memcheck "$program" report run
  memcheck "$program" plan run
  [ -s run/report/index.html ]
}

test_in_double_precision() {
  train cpu64 --epochs 1
  memcheck "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu64 --logits out.safetensors
}

test_the_rest() {
  memcheck "$program" summary toy.yaml
  memcheck "$program" worksheet sheet.xlsx
  expect 3 memcheck "$program" eval toy.yaml --data data
  expect 2 memcheck "$program" train toy.yaml --set train.lr=0
}

# What this test would be blind without.
test_an_error_is_seen() {
  printf '#include <stdlib.h>\nint main(void) { char *p = malloc(9); return p[3] ? 0 : 1; }\n' >read.c
  printf '#include <stdlib.h>\nvolatile int n = 9;\nint main(void) { return !malloc(n); }\n' >leak.c
  for name in read leak; do
    cc -o $name $name.c
    expect 99 memcheck ./$name
  done
}

run_tests valgrind "$tap"
