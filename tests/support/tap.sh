#!/usr/bin/env bash
# Sourced by tests that are scripts: runs their functions test_* and writes what came of it in TAP,
# like Criterion's. Each runs in a shell of its own, in an empty folder $tmp, and fails at the first
# command that fails (set -e).

fail() {
  echo "$*"
  return 1
}

# expect CODE COMMAND...: it ends with this code; what it said is in $said
expect() {
  local code=$1 rc=0
  shift
  said=$("$@" 2>&1) || rc=$?
  [ "$rc" -eq "$code" ] || fail "exit $rc instead of $code from: $*: $said"
}

# says TEXT: it is in $said; the width of a message does not count
says() {
  [[ $(tr -s '\n ' ' ' <<<"$said") == *"$(tr -s ' ' <<<"$1")"* ]] || fail "does not say '$1': $said"
}

# results_to FILE: what is written to descriptor 3 goes there. /dev/stdout is not opened anew, which
# would empty a log that it is.
results_to() {
  if [ "$1" = /dev/stdout ]; then exec 3>&1; else exec 3>"$1"; fi
}

# run_cases FILE RUN CASE...: RUN with each case, in order; FILE takes the results;
# what a case that failed said last is printed.
run_cases() {
  local run=$2 case output number=0 failures=0
  results_to "$1"
  shift 2
  printf '1..%d\n' $# >&3
  for case; do
    number=$((number + 1))
    if output=$("$run" "$case" 2>&1 3>&-); then
      printf 'ok %d - %s\n' "$number" "$case" >&3
    else
      printf 'not ok %d - %s\n' "$number" "$case" >&3
      printf '%s:\n%s\n' "$case" "$(tail -n 20 <<<"$output")"
      failures=$((failures + 1))
    fi
  done
  [ "$failures" -eq 0 ]
}

# run_tests NAME FILE: all of them; FILE takes the results. prepare, if there is such a function, is
# called before each. One that ends with 77 is skipped; its last line tells why.
run_tests() {
  local suite=$1 name output rc failures=0 tests
  results_to "$2"
  mapfile -t tests < <(declare -F | sed -n 's/^declare -f test_\(.*\)/\1/p')
  printf '1..%d\n' "${#tests[@]}" >&3
  for name in "${tests[@]}"; do
    tmp=$(mktemp -d)
    output=$(
      exec 3>&-
      cd "$tmp" || exit 1
      ! declare -F prepare >/dev/null || prepare
      set -e
      "test_$name" 2>&1
    )
    rc=$?
    rm -rf "$tmp"
    if [ "$rc" -eq 0 ]; then
      printf 'ok - %s::%s\n' "$suite" "$name" >&3
    elif [ "$rc" -eq 77 ]; then
      printf 'ok - %s::%s # SKIP %s\n' "$suite" "$name" "${output##*$'\n'}" >&3
    else
      printf 'not ok - %s::%s\n' "$suite" "$name" >&3
      printf '%s: %s\n' "$name" "$output"
      failures=$((failures + 1))
    fi
  done
  printf '%d tests, %d failed\n' "${#tests[@]}" "$failures"
  [ "$failures" -eq 0 ]
}
