#!/usr/bin/env bash
# fuzz.sh MINUTES [TARGET...]: runs the fuzzers of the file readers (tests/fuzz: idx, config, record ...)
# that long each, as many side by side as there are cores, from the inputs in tests/fuzz/corpus.
# Inputs that reach new code are kept in build/fuzz/found/TARGET, those that break a promise in
# build/fuzz/broken/TARGET; how they become part of the corpus is said at the end. Prints executions
# and covered edges of each target; exits 1 if a promise was broken. Needs clang and its libFuzzer.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

case ${1-} in
-h | --help) sed -n '2,7s/^# //p' "$0" && exit ;;
esac
[[ ${1-} =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
  die 2 "fuzz.sh: '${1-}' is no number of minutes" "scripts/fuzz.sh MINUTES [TARGET...]"
seconds=$(awk -v minutes="$1" 'BEGIN {s = int(minutes * 60); print s < 1 ? 1 : s}')
shift
corpora=$top/tests/fuzz/corpus found=$top/build/fuzz/found broken=$top/build/fuzz/broken
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(find "$corpora" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)
for target in "${targets[@]}"; do
  [ -d "$corpora/$target" ] ||
    die 2 "fuzz.sh: no target '$target'" "one of: $(cd "$corpora" && echo *)"
done
need build clang
need fuzzer
say "fuzz: building; then ${#targets[@]} targets of $seconds s each, $(nproc) at a time"
build fuzz fuzzers

memory=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$memory"' EXIT

# one TARGET: runs it, says in a line what came of it
one() {
  local log=$found/$1.log rc=0 covered
  mkdir -p "$found/$1" "$broken/$1"
  TMPDIR=$memory "$top/build/fuzz/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=20 \
    -rss_limit_mb=4096 -max_len=8192 -use_value_profile=1 -print_final_stats=1 \
    -dict="$top/tests/fuzz/words.dict" -artifact_prefix="$broken/$1/" "$found/$1" "$corpora/$1" \
    >"$log" 2>&1 || rc=1
  covered=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  awk -v target="$1" -v edges="${covered#cov: }" -v rc="$rc" '
    /^stat::number_of_executed_units/ {runs = $2} /^stat::average_exec_per_sec/ {rate = $2}
    END {printf "fuzz: %-12s %9d runs %6d a second %5d edges  %s\n", target, runs, rate, edges,
         rc ? "BROKEN" : "ok"}' "$log"
  return "$rc"
}
export -f one
export top seconds corpora found broken memory
if printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {}'; then
  echo "To keep what reached new code: build/fuzz/tests/fuzz/fuzz_TARGET -merge=1" \
    "tests/fuzz/corpus/TARGET build/fuzz/found/TARGET"
else
  echo "What broke a promise lies in build/fuzz/broken/TARGET (why: build/fuzz/found/TARGET.log;" \
    "again: build/fuzz/tests/fuzz/fuzz_TARGET FILE). Once it is mended, copy the file to" \
    "tests/fuzz/corpus/TARGET."
  exit 1
fi
