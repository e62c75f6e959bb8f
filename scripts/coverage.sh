#!/usr/bin/env bash
# coverage.sh [--check]: which lines of src the tests run - units, the program, and the kernels in the
# executor - by folder, into docs/coverage.md; --check leaves that page alone. Exits 1 if a test fails,
# if less than 90 % of the lines of src/host or of src/kernels ran, or if a file is neither measured
# nor in tests/uncovered.txt; 77 without gcovr (scripts/test.sh --all brings it). Line by line:
# build/coverage/lines.html.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

folder=$top/build/coverage page=$top/docs/coverage.md
case ${1-} in
'') ;;
--check) page=$folder/coverage.md ;;
-h | --help) sed -n '2,6s/^# //p' "$0" && exit ;;
*) die 2 "coverage.sh: unknown argument '$1'" "scripts/coverage.sh [--check]" ;;
esac
there gcovr || { say "gcovr is not here" && exit 77; }

# Tests of scripts and builds run no line of src that others do not, other orders of the executor's
# threads run the same ones; a process that is killed leaves no counts.
left_out='^test_(kill|join|fail_at|cmake|cuda_|fetch_data|gpu_script|rooms|scripts|study_script|unknown_norm)|_schedule_'
# Threads count in the same places, so a count may be off; only whether it is 0 is asked. Objects that are
# compiled several times, for float and double or for several instruction sets, are one file: a line has
# run if it did in one of them.
options=(--root "$top" --filter "$top/src/" --gcov-ignore-parse-errors --csv "$folder/coverage.csv"
  --html-details "$folder/lines.html")
[[ $(gcovr --help) != *--merge-mode-functions* ]] || options+=(--merge-mode-functions=separate)

build coverage
find "$folder" -name '*.gcda' -delete
logged "$folder/tests.log" ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" -E "$left_out"
logged "$folder/gcovr.log" gcovr "${options[@]}" "$folder/CMakeFiles" "$folder/tests"
/usr/bin/python3 "$top/tests/support/coverage.py" "$top" "$folder/coverage.csv" >"$page.new" || rc=$?
cat "$page.new"
[ "${rc:-0}" -eq 0 ] || exit 1
mv "$page.new" "$page"
