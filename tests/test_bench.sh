#!/usr/bin/env bash
# test_bench.sh BENCH_FOLDER [--tap=FILE]: what bench/ promises. A norm made wrong is not timed, a
# peer with other losses is refused, the README's table is that of the committed results. Results go
# to FILE in TAP, like Criterion's.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
programs=$1
tap=/dev/stdout
[ $# -lt 2 ] || tap=${2#--tap=}

# Ends the test, which runs in a shell of its own.
fail() {
  echo "$*"
  exit 1
}

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
  grep -q 'batch (2, 6, 9, 9): dx\[.*not timed' "$tmp/errors" || fail "$(cat "$tmp/errors")"
}

test_unknown_device_is_exit_4() {
  rc=0
  "$programs/bench_norm" --device nonesuch 2>/dev/null || rc=$?
  [ "$rc" -eq 4 ] || fail "exit $rc, must be 4"
}

# ---- losses ----

losses() { # PROGRAM FIRST SECOND
  printf '{"what":"losses","program":"%s","mode":"m","variant":"ln","losses":[%s,%s]}\n' "$@"
}

refused() { ! python3 "$top/bench/aggregate.py" --losses "$tmp/records" 2>/dev/null; }

test_peer_with_other_losses_is_refused() {
  { losses normlab 2 1.5 && losses peer 2.00001 1.54; } >"$tmp/records"
  ! refused || fail 'the same losses are refused'
  { losses normlab 2 1.5 && losses peer 2.00003 1.5; } >"$tmp/records"
  refused || fail 'another first loss is taken'
  { losses normlab 2 1.5 && losses peer 2 1.55; } >"$tmp/records"
  refused || fail 'another second loss is taken'
  { losses normlab 2 1.5 && losses peer 2 NaN; } >"$tmp/records"
  refused || fail 'a loss that is NaN is taken'
}

# ---- README ----

table() { python3 "$top/bench/readme_table.py" --readme "$tmp/README.md" "$@"; }

test_table_follows_the_results() {
  mkdir "$tmp/results"
  {
    losses normlab 2 1.5
    printf '{"what":"machine","processor":"P","threads":2,"sgemm_gflops":100.0,%s}\n' \
      '"sgemm_library":"L"'
    printf '{"what":"step","program":"normlab","mode":"cpu","variant":"ln","batch":64,%s}\n' \
      '"threads":2,"width":1,"ms":[9.0,8.0,7.0],"flops_image":1e6,"memory_bytes":1'
    printf '{"what":"step","program":"PyTorch","mode":"nchw","variant":"ln","batch":64,%s}\n' \
      '"threads":2,"width":1,"ms":[32.0],"version":"1","memory_bytes":1'
  } >"$tmp/records"
  python3 "$top/bench/aggregate.py" --threads 2 --out "$tmp/results" "$tmp/records" >/dev/null
  printf 'before\n<!-- speed:begin -->\n<!-- speed:end -->\nafter\n' >"$tmp/README.md"
  ! table --check --results "$tmp/results" 2>/dev/null || fail 'an empty table passes'
  table --results "$tmp/results" || fail 'the table is not written'
  grep -q '^| layer norm | 8.0 (7.0-9.0) | 32.0 .* | 4.0 times |$' "$tmp/README.md" ||
    fail "$(cat "$tmp/README.md")"
  [ "$(sed -n '1p;$p' "$tmp/README.md" | tr '\n' ' ')" = 'before after ' ] || fail 'text lost'
  table --check --results "$tmp/results"
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

# ---- all ----

mapfile -t tests < <(declare -F | sed -n 's/^declare -f \(test_.*\)/\1/p')
echo "1..${#tests[@]}" >"$tap"
number=0 failed=0
for name in "${tests[@]}"; do
  number=$((number + 1)) code=0
  said=$(
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    "$name" 2>&1
  ) || code=$?
  case $code in
  0) echo "ok $number - bench::$name" >>"$tap" ;;
  77) echo "ok $number - bench::$name # SKIP ${said##*$'\n'}" >>"$tap" ;;
  *)
    echo "not ok $number - bench::$name" >>"$tap"
    echo "$name: $said"
    failed=1
    ;;
  esac
done
exit $failed
