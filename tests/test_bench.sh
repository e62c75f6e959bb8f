#!/usr/bin/env bash
# test_bench.sh BENCH_FOLDER [--tap=FILE]: what bench/ promises. A norm made wrong is not timed, a
# peer with other losses is refused and the others go on (peers here are tests/bench_peer.py), the
# README's table is that of the committed results. Results go to FILE in TAP, like Criterion's.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
programs=$1
tap=/dev/stdout
[ $# -lt 2 ] || tap=${2#--tap=}
# shellcheck source=tests/support/tap.sh
source "$top/tests/support/tap.sh"

# norms PROGRAM WRONG: lines of JSON in $tmp/lines, the exit code in $rc
norms() {
  rc=0
  NORMLAB_WRONG=$2 "$programs/$1" --quick yes --threads 1 --repeats 1 >"$tmp/lines" \
    2>"$tmp/errors" || rc=$?
}

lines_with() { grep -c "$1" "$tmp/lines"; }

# ---- bench_norm ----

test_right_norms_are_timed() {
  norms bench_norm ''
  [ "$rc" -eq 0 ] || fail "exit $rc: $(cat "$tmp/errors")"
  [ "$(lines_with '"what":"norm"')" -eq 24 ] || fail "$(wc -l <"$tmp/lines") lines, must be 24"
}

test_wrong_forward_is_not_timed() {
  norms bench_norm_wrong forward
  [ "$rc" -eq 1 ] || fail "exit $rc, must be 1"
  [ "$(lines_with '"norm":"batch"')" -eq 8 ] || fail 'batch norm, which is right, is not timed'
  [ "$(lines_with '"norm":"layer"')" -eq 0 ] || fail 'a wrong layer norm is timed'
  [ "$(lines_with '"norm":"group"')" -eq 0 ] || fail 'a wrong group norm is timed'
  grep -q 'group (3, 12, 5, 7): y\[.*not timed' "$tmp/errors" || fail "$(cat "$tmp/errors")"
}

test_wrong_backward_is_not_timed() {
  norms bench_norm_wrong backward
  [ "$rc" -eq 1 ] || fail "exit $rc, must be 1"
  [ "$(lines_with '"norm":"batch"')" -eq 0 ] || fail 'a wrong batch norm is timed'
  [ "$(lines_with '"norm":"group"')" -eq 8 ] || fail 'group norm, which is right, is not timed'
  grep -q 'batch (2, 6, 9, 9): dz\[.*not timed' "$tmp/errors" || fail "$(cat "$tmp/errors")"
}

test_unknown_device_is_exit_4() {
  rc=0
  "$programs/bench_norm" --device nonesuch 2>/dev/null || rc=$?
  [ "$rc" -eq 4 ] || fail "exit $rc, must be 4"
}

# ---- losses ----

losses() { # PROGRAM LOSSES
  printf '{"what":"losses","program":"%s","mode":"m","variant":"ln","threads":1,"losses":[%s]}\n' \
    "$@"
}

refused() { ! python3 "$top/bench/aggregate.py" --losses "$tmp/records" 2>"$tmp/errors"; }

# beside_ours LOSSES: normlab's six losses and a peer's
beside_ours() { { losses normlab 2,2,1.5,1.5,1.5,1.5 && losses peer "$1"; } >"$tmp/records"; }

test_peer_with_other_losses_is_refused() {
  beside_ours 2.00001,2.0015,1.501,1.5,1.5,1.54
  ! refused || fail "the same losses are refused: $(cat "$tmp/errors")"
  beside_ours 2.00003,2,1.5,1.5,1.5,1.5
  refused || fail 'another first loss is taken'
  beside_ours 2,2,1.5,1.5,1.5,1.55
  refused || fail 'another sixth loss is taken'
}

test_peer_wrong_in_the_first_five_is_refused() {
  local five
  for five in 2,2.003,1.5,1.5,1.5,1.5 2,2,1.5,1.4975,1.5,1.5 2,2,1.5,1.5,1.5025,1.5; do
    beside_ours "$five"
    refused || fail "$five is taken"
  done
  beside_ours 2,2,1.5,1.5,1.5,1.5025
  ! refused || fail 'the sixth loss is held to the bound of the fifth'
}

test_nan_is_a_difference() {
  local six
  for six in NaN,2,1.5,1.5,1.5,1.5 2,2,NaN,1.5,1.5,1.5 2,2,1.5,1.5,1.5,NaN \
    2,2,1.5,1.5,1.5,Infinity 2,2,1.5,1.5,1.5,null; do
    beside_ours "$six"
    refused || fail "$six is taken"
    grep -q 'all by inf' "$tmp/errors" || fail "$six: $(cat "$tmp/errors")"
  done
  { losses normlab 2,2,1.5,1.5,1.5,NaN && losses peer 2,2,1.5,1.5,1.5,1.5; } >"$tmp/records"
  refused || fail 'a peer is as good as a NaN of ours'
}

test_missing_losses_are_a_difference() {
  beside_ours 2,2,1.5,1.5,1.5
  refused || fail 'five losses stand for six'
  beside_ours ''
  refused || fail 'no losses stand for six'
}

# ---- turns ----

# race OPTION...: turns.py with scripts for normlab and for PyTorch, its lines in $tmp/records
race() {
  mkdir -p "$tmp/bin"
  printf '#!/bin/sh\nexec python3 "%s" "$@"\n' "$top/tests/bench_peer.py" >"$tmp/bin/bench_step"
  chmod +x "$tmp/bin/bench_step"
  python3 "$top/bench/turns.py" --threads 1 --bin "$tmp/bin" --torch "$tmp/bin/bench_step" \
    --data none --batches 64 --parts losses,steps "$@" "$tmp/records" 2>"$tmp/errors" ||
    fail "$(cat "$tmp/errors")"
}

# said PROGRAM: why it is missing
said() { grep '"missing"' "$tmp/records" | grep -F "\"program\": \"$1\"" || true; }

# turns_of MODE: how often a peer's layer norm was timed
turns_of() { grep '"step"' "$tmp/records" | grep '"ln"' | grep -cF "\"mode\": \"$1\""; }

test_a_refused_mode_leaves_the_others() {
  export BENCH_PEER='nhwc=nan compiled=five'
  race --turns 3
  [[ $(said 'PyTorch, eager, channels last, 1 thread') == *'refused: other losses'*bn_l1*inf* ]] ||
    fail "NaN: $(cat "$tmp/records")"
  [[ $(said 'PyTorch, compiled, 1 thread') == *'refused: other losses'* ]] || fail 'five is taken'
  [ "$(turns_of nhwc) $(turns_of compiled)" = '0 0' ] || fail 'a refused mode is timed'
  [ "$(turns_of nchw) $(turns_of compiled-nhwc) $(turns_of cpu)" = '3 3 3' ] ||
    fail "$(cat "$tmp/records")"
  [[ $(said JAX) == *'not installed'* ]] || fail 'JAX is not named'
}

test_avx2_is_timed_beside_avx512() {
  export BENCH_PEER=''
  race --turns 2
  local turns=0
  ! grep -q ' avx512f ' /proc/cpuinfo || turns=2
  [ "$(turns_of avx2) $(turns_of cpu)" = "$turns 2" ] || fail "$(cat "$tmp/records")"
}

test_a_mode_that_fails_leaves_the_others() {
  export BENCH_PEER='nchw=never compiled=ends compiled-nhwc=babbles'
  race --turns 3
  [[ $(said 'PyTorch, eager, 1 thread') == *'failed: exit 3: no such layer'* ]] ||
    fail "$(cat "$tmp/records")"
  [[ $(said 'PyTorch, compiled, 1 thread') == *'failed: exit 4'* ]] || fail 'end in a turn'
  [[ $(said 'PyTorch, compiled, channels last, 1 thread') == *'no JSON'* ]] || fail 'no JSON'
  [ "$(turns_of nhwc) $(turns_of compiled) $(turns_of cpu)" = '3 1 3' ] ||
    fail "$(cat "$tmp/records")"
}

test_who_was_not_compared_is_not_timed() {
  export BENCH_PEER=''
  race --turns 2 --parts steps
  [ "$(turns_of nchw) $(turns_of cpu)" = '0 2' ] || fail "$(cat "$tmp/records")"
  [[ $(said 'PyTorch, eager, 1 thread') == *'not compared'* ]] || fail "$(cat "$tmp/records")"
}

test_a_slow_mode_takes_two_turns() {
  export BENCH_PEER='nhwc=slow'
  race --turns 4
  [ "$(turns_of nchw) $(turns_of nhwc)" = '4 2' ] || fail "$(cat "$tmp/records")"
}

# ---- README ----

table() { python3 "$top/bench/readme_table.py" --readme "$tmp/README.md" "$@"; }

step() { # PROGRAM MODE VARIANT THREADS MS
  printf '{"what":"step","program":"%s","mode":"%s","variant":"%s","threads":%s,"ms":[%s],%s}\n' \
    "$@" '"batch":64,"width":1,"flops_image":1e6,"memory_bytes":1,"version":"1.2"'
}

machine() { # GFLOPS LIBRARY
  printf '{"what":"machine","processor":"P","threads":2,"sgemm_gflops":%s,"sgemm_library":"%s"}\n' \
    "$@"
}

# make_table: README.md in $tmp from the records in $tmp
make_table() {
  python3 "$top/bench/aggregate.py" --threads 2 --out "$tmp/results" "$tmp/records" >/dev/null &&
    table --results "$tmp/results" || fail 'the table is not written'
}

has() { grep -qxF "$1" "$tmp/README.md" || fail "no $1 in: $(cat "$tmp/README.md")"; }

test_table_follows_the_results() {
  {
    machine 100.0 'OpenBLAS 1 (Core)'
    step normlab cpu ln 2 9.0,8.0,7.0
    step PyTorch nchw ln 2 32.0
  } >"$tmp/records"
  printf 'before\n<!-- speed:begin -->\n<!-- speed:end -->\nafter\n' >"$tmp/README.md"
  mkdir "$tmp/results"
  cp "$top"/bench/results/*.json "$tmp/results/"
  ! table --check --results "$tmp/results" 2>/dev/null || fail 'an empty table passes'
  rm "$tmp"/results/*
  make_table
  has '| normlab |  | 8.0 (7.0-9.0) |  | 3 |'
  has '| PyTorch 1.2, eager |  | **32.0 (32.0-32.0)** |  | 1 |'
  has '| fastest peer / normlab |  | 4.0 |  |  |'
  grep -q "OpenBLAS 1 (Core)'s matrix product here, 100 GFLOP" "$tmp/README.md" || fail 'no limit'
  [ "$(sed -n '1p;$p' "$tmp/README.md" | tr '\n' ' ')" = 'before after ' ] || fail 'text lost'
  table --check --results "$tmp/results"
}

# The best mode of any peer, for each network and number of threads by itself.
test_table_compares_with_the_best_mode() {
  {
    machine 100.0 L
    step normlab cpu ln 2 8 && step normlab cpu gn 2 8 && step normlab cpu ln 1 10
    step PyTorch nchw ln 2 40,24,80 && step PyTorch nchw gn 2 80 && step PyTorch nchw ln 1 90
    step PyTorch compiled ln 2 48 && step PyTorch compiled gn 2 64
    step PyTorch compiled ln 1 70
    step JAX unfold ln 2 60 && step JAX unfold gn 2 56 && step JAX unfold ln 1 30
  } >"$tmp/records"
  printf '<!-- speed:begin -->\n<!-- speed:end -->\n' >"$tmp/README.md"
  make_table
  has '| 2 threads | batch norm + L1 | layer norm | group norm | turns |'
  has '| PyTorch 1.2, eager |  | **40.0 (24.0-80.0)** | 80.0 (80.0-80.0) | 3 |'
  has '| PyTorch 1.2, compiled |  | 48.0 (48.0-48.0) | 64.0 (64.0-64.0) | 1 |'
  has '| JAX 1.2, jit, products of matrices |  | 60.0 (60.0-60.0) |'\
' **56.0 (56.0-56.0)** | 1 |'
  has '| fastest peer / normlab |  | 5.0 | 7.0 |  |'
  has '| 1 thread | batch norm + L1 | layer norm | group norm | turns |'
  has '| JAX 1.2, jit, products of matrices |  | **30.0 (30.0-30.0)** |  | 1 |'
  has '| fastest peer / normlab |  | 3.0 |  |  |'
}

# A limit is the best that was reached, and other work on the machine is named.
test_table_tells_of_a_busy_machine() {
  {
    machine 25.0 L && machine 200.0 L && machine null none
    step normlab cpu ln 2 8
    printf '{"what":"busy","percent":%s}\n' 1.5 62.4
  } >"$tmp/records"
  printf '<!-- speed:begin -->\n<!-- speed:end -->\n' >"$tmp/README.md"
  make_table
  has 'Other work took 62 % of the machine meanwhile.'
  grep -q 'here, 200 GFLOP' "$tmp/README.md" || fail "$(cat "$tmp/README.md")"
  grep -v '62.4' "$tmp/records" >"$tmp/quiet" && mv "$tmp/quiet" "$tmp/records"
  make_table
  ! grep -q 'Other work' "$tmp/README.md" || fail 'a quiet machine is called busy'
}

test_without_openblas_the_limit_is_none() {
  "$programs/bench_machine" --threads 2 --rounds 1 --openblas "$tmp/none.so" >"$tmp/records" ||
    fail 'bench_machine fails'
  grep -q '"sgemm_gflops":null,"sgemm_library":"none"' "$tmp/records" || fail 'there is a limit'
  step normlab cpu ln 2 8 >>"$tmp/records"
  printf '<!-- speed:begin -->\n<!-- speed:end -->\n' >"$tmp/README.md"
  make_table
  grep -q '^The limit: none' "$tmp/README.md" || fail "$(cat "$tmp/README.md")"
}

test_table_of_the_readme() {
  local code=0
  python3 "$top/bench/readme_table.py" --check || code=$?
  return "$code"
}

test_scripts_are_python() {
  python3 - "$top"/bench/*.py "$top"/bench/peers/*.py <<'END' || fail 'a script does not compile'
import sys
for path in sys.argv[1:]:
    compile(open(path, encoding="utf-8").read(), path, "exec")
END
  bash -n "$top/bench/compare.sh"
}

run_tests bench "$tap"
