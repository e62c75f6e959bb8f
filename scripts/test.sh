#!/usr/bin/env bash
# test.sh [--all]: sets up, builds and runs every test that this machine can run: the release build,
# the same under AddressSanitizer and UBSan, the kernels on the CPU, the format; all compiled by
# clang too, where it is.
# --all also fetches MNIST, CUDA's compiler and libraries (1 GB, for the kernels and cuDNN's plans;
# no GPU is needed), PyTorch and clang-format 14, installs clang with libFuzzer, LibreOffice,
# Chromium, Slurm, Open MPI and GNU parallel, and runs the fuzzers for a few seconds each, then
# ThreadSanitizer, valgrind, cppcheck, clang-tidy, and the share of the lines that run (gcovr). What
# needs them is skipped elsewhere, and named.
# Ends with one line: N passed, N failed, N skipped; tests that want a GPU are counted apart, by
# name, where there is none. Exits 1 if something failed or nothing ran.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

all='' passed=0 failed=0 skipped=0 gpu=() under=()
for arg in "$@"; do
  case $arg in
  --all) all=1 ;;
  -h | --help) sed -n '2,12s/^# //p' "$0" && exit ;;
  *) die 2 "test.sh: unknown argument $arg" "scripts/test.sh [--all]" ;;
  esac
done

skip() {
  echo "skipped: $1"
  skipped=$((skipped + 1))
}

# What --all brings. A network that is not there is no failure: what it would have brought is missed
# by the tests, which name it.
heavy_tools() {
  local tool
  if [ -n "$all" ]; then
    need clang office browser cluster lint
    need fuzzer # Ubuntu 22.04's clang brings it
    [ -n "${NORMLAB_DATA-}" ] || "$top/scripts/fetch-mnist.sh" "$(cache_folder)/mnist" ||
      say "going on without MNIST"
    "$top/scripts/setup.sh" --venv tests >/dev/null || say "going on without PyTorch"
    if [ "${NORMLAB_CUDA-}" != OFF ]; then
      local fetch cuda_major
      plan_cuda always # sets both
      [ ${#fetch[@]} -eq 0 ] || fetch_cuda "$cuda_major" "${fetch[@]}" || say "going on without CUDA"
      fetch_cuda 13 sass || say "going on without nvdisasm"
    fi
  fi
  for tool in soffice chromium; do
    there "$tool" || echo "skipped: checks with $tool, which is not installed (--all installs it)"
  done
}

# count FOLDER [OPTION...]: adds what the programs of one ctest run wrote into their TAP files. A
# program that wrote none counts as one test; one that failed without a failing test as one failure.
count() {
  local name tap p f s needs='# SKIP no \(GPU\|CUDA device\)' folder=$1
  local failures=$1/Testing/Temporary/LastTestsFailed.log
  shift
  while read -r name; do
    tap=$(find "$folder/tests" -name "$name.tap")
    tap=${tap:-/dev/null}
    mapfile -t -O ${#gpu[@]} gpu < <(sed -n "s/^ok *-* *\([^ ]*\) *$needs.*/\1/p" "$tap")
    read -r p f s < <(sed "/$needs/d" "$tap" | awk '/^ok .*# SKIP/ {s++; next} /^ok / {p++}
      /^not ok / {f++} END {print p + 0, f + 0, s + 0}')
    sed -n "/$needs/d; s/^ok *-* *\\(.*# SKIP.*\\)/skipped: $name: \\1/p" "$tap"
    if grep -qs "^[0-9]*:$name\$" "$failures"; then
      echo "failed: $name"
      [ "$f" -gt 0 ] || f=1
    elif [ "$tap" = /dev/null ]; then
      p=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done < <(ctest --test-dir "$folder" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p')
}

# check NAME COMMAND...: what ctest does not run; exit 77: a tool is missing
check() {
  local name=$1 rc=0
  shift
  echo "== $name"
  "$@" || rc=$?
  case $rc in
  0) passed=$((passed + 1)) ;;
  77) skip "$name" ;;
  *)
    echo "failed: $name"
    failed=$((failed + 1))
    ;;
  esac
}

# suite PRESET [OPTION...]: these go to ctest. Criterion hides what a sanitizer reports in a test's
# process, so the reports go to files, and a file that is not empty is a failure.
suite() {
  local preset=$1 folder=$top/build/$1 reports=$top/build/$1/reports report before rc=0
  shift
  echo "== $preset: build"
  build "$preset"
  echo "== $preset: tests"
  find "$folder" -name '*.tap' -delete
  rm -rf "$folder/Testing/Temporary" "$reports"
  mkdir "$reports"
  ASAN_OPTIONS=log_path=$reports/asan:detect_stack_use_after_return=1 \
    UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1 \
    TSAN_OPTIONS=log_path=$reports/tsan \
    "${under[@]}" ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" "$@" || rc=$?
  grep -hE '^(simt|plans): ' "$folder/Testing/Temporary/LastTest.log" || true
  before=$((passed + failed))
  count "$folder" "$@"
  if [ $((passed + failed)) -eq "$before" ]; then
    echo "failed: no test ran"
    failed=$((failed + 1))
  fi
  for report in "$reports"/*; do
    [ -s "$report" ] || continue
    echo "failed: sanitizer report $report"
    head -n 40 "$report"
    failed=$((failed + 1))
  done
  [ "$rc" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}

# The tests of threads once more, on a program that ThreadSanitizer watches. It wants its addresses
# free, where some kernels put programs anywhere.
threads() {
  echo "== tsan: build"
  build tsan normlab
  ! setarch -R true 2>/dev/null || under=(setarch -R)
  NORMLAB_PROGRAM=$top/build/tsan/normlab suite release -L threads
  under=()
}

# clang-format's output differs between versions; the project's is that of 14.
format() {
  local tool
  tool=$(version_14 clang-format) || { echo "clang-format 14 is not here (--all fetches it)" && return 77; }
  find "$top" \( -name build -o -name .git \) -prune -o \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 "$tool" --dry-run -Werror
}

# All of it by clang too, warnings being errors; its objects are not run.
compiled_by_clang() {
  there clang || { echo "clang is not here (--all installs it)" && return 77; }
  (build clang && build clang-simt)
}

need build report fetch test
heavy_tools
suite release
"$top/build/release/normlab" --version | grep -qw cuda ||
  skip "kernels compiled by nvcc, their registers and cuDNN's plans, built without CUDA (--all fetches it)"
suite asan
suite simt -L simt
check "all of it compiled by clang" compiled_by_clang
check format format
if [ -n "$all" ]; then
  # Six seconds of each reader's fuzzer. Their committed inputs are read by the suites above.
  check fuzz "$top/scripts/fuzz.sh" 0.1
  threads
  check valgrind "$top/tests/test_valgrind.sh" "$top/build/release/normlab"
  check cppcheck "$top/scripts/lint.sh" cppcheck
  check clang-tidy "$top/scripts/lint.sh" clang-tidy
  check coverage "$top/scripts/coverage.sh" --check
fi
[ ${#gpu[@]} -eq 0 ] || echo "not run without a GPU: ${#gpu[@]} tests: ${gpu[*]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
