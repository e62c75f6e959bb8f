#!/usr/bin/env bash
# test.sh [--all]: sets up, builds and runs every test that this machine can run: the release build,
# the same under AddressSanitizer and UBSan, the kernels on the CPU where tests/simt is, the format.
# --all also fetches MNIST and installs the heavy tools (LibreOffice, Chromium); what needs them is
# skipped elsewhere.
# Ends with one line: N passed, N failed, N skipped. Exits 1 if something failed or nothing ran.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

all='' passed=0 failed=0 skipped=0
for arg in "$@"; do
  case $arg in
  --all) all=1 ;;
  -h | --help) sed -n '2,6s/^# //p' "$0" && exit ;;
  *) die 2 "test.sh: unknown argument $arg" "scripts/test.sh [--all]" ;;
  esac
done

heavy_tools() {
  local tool
  if [ -n "$all" ]; then need office browser; fi
  for tool in soffice chromium; do
    there "$tool" || echo "skipped: checks with $tool, which is not installed (--all installs it)"
  done
}

# count FOLDER [OPTION...]: adds what the programs of one ctest run wrote into their TAP files. A
# program that wrote none counts as one test; one that failed without a failing test as one failure.
count() {
  local name tap p f s folder=$1 failures=$1/Testing/Temporary/LastTestsFailed.log
  shift
  while read -r name; do
    tap=$(find "$folder/tests" -name "$name.tap")
    tap=${tap:-/dev/null}
    read -r p f s < <(awk '/^ok .*# SKIP/ {s++; next} /^ok / {p++} /^not ok / {f++}
      END {print p + 0, f + 0, s + 0}' "$tap")
    sed -n "s/^ok *-* *\\(.*# SKIP.*\\)/skipped: $name: \\1/p" "$tap"
    if grep -qs "^[0-9]*:$name\$" "$failures"; then
      echo "failed: $name"
      [ "$f" -gt 0 ] || f=1
    elif [ "$tap" = /dev/null ]; then
      p=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done < <(ctest --test-dir "$folder" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p')
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
    ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" "$@" || rc=$?
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

# clang-format's output differs between versions; the project's is that of Debian 12.
format() {
  echo "== format"
  if ! [[ $(clang-format --version) =~ version\ 14\. ]]; then
    echo "skipped: format, as clang-format here is not version 14"
    skipped=$((skipped + 1))
  elif find "$top" \( -name build -o -name .git \) -prune -o \
    \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 clang-format --dry-run -Werror; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}

# The comparison with PyTorch on MNIST, where both are there; a network that is not is no failure.
mnist() {
  [ -n "$all" ] && [ -z "${NORMLAB_DATA-}" ] || return 0
  "$top/scripts/fetch-mnist.sh" "${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist" ||
    echo "skipped: checks with MNIST, which could not be fetched"
}

need build report fetch test
heavy_tools
mnist
suite release
suite asan
[ ! -d "$top/tests/simt" ] || suite simt -L simt
format
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
