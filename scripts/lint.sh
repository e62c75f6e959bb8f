#!/usr/bin/env bash
# lint.sh cppcheck|clang-tidy: one of the two over src/host. What is excepted has its reason here, in
# .clang-tidy or beside the line. Exits 1 if it finds something, 77 where the tool is not here: what they
# find differs between versions, and the project's are Debian 12's, 2.10 and 14.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

# What cppcheck finds and is not so: its name, the file, and why.
excepted() {
  cat <<'LIST'
uninitvar:src/host/cpu/simd/*                does not see that a vector is filled lane by lane
uninitvar:src/host/data/data_file.c          inflate fills it, as many bytes as are copied then
uninitvar:src/host/report/page/page_tables.c there is a class: all of its rows are filled
uninitvar:src/host/report/runs/units.c       snprintf fills it
invalidFunctionArg:src/host/cpu/plain/softmax_loss.c the sum holds exp(0) = 1 by then
invalidFunctionArg:src/host/train/epoch_loop.c       likewise
memleakOnRealloc:src/host/report/runs/predictions.c NL_NEED ends the program then
resourceLeak:src/host/base/regular.c         refuse closes it
leakReturnValNotUsed:src/host/main.c         the descriptor is to stay, under a number known before
compareBoolExpressionWithInt:src/host/report/charts/gnuplot.c counts from PNG to SVG, if that is wanted
identicalInnerCondition:src/host/report/workbook/sheet.c      the slot was empty, and was filled in between
LIST
}

with_cppcheck() {
  [[ $(cppcheck --version 2>/dev/null) =~ ^Cppcheck\ 2\.10 ]] || { say "cppcheck 2.10 is not here" && exit 77; }
  cppcheck -j "$(nproc)" --quiet --error-exitcode=1 --std=c11 --library=posix,gnu \
    --enable=warning,performance --suppressions-list=<(excepted | sed 's/ .*//') \
    -D__x86_64__ -D__AVX2__ -D_GNU_SOURCE -DNL_ISA=avx2 -I include -I src/host src/host
}

# By the build for clang, whose warnings are clang's.
with_clang_tidy() {
  local tidy
  tidy=$(version_14 clang-tidy) || { say "clang-tidy 14 is not here" && exit 77; }
  mkdir -p build/clang
  logged build/clang/configure.log cmake -S . --preset clang "-DNORMLAB_CUDA=${NORMLAB_CUDA:-AUTO}"
  sed -n 's|^ *"file": "\(.*/src/host/.*\.c\)",*$|\1|p' build/clang/compile_commands.json |
    grep -v /cpu/simd/ | sort -u |
    xargs -n 4 -P "$(nproc)" "$tidy" -p build/clang --quiet 2>build/clang/tidy.log
}

cd "$top"
case ${1-} in
cppcheck) with_cppcheck ;;
clang-tidy) with_clang_tidy ;;
-h | --help) sed -n '2,4s/^# //p' "scripts/lint.sh" ;;
*) die 2 "lint.sh: unknown argument '${1-}'" "scripts/lint.sh cppcheck|clang-tidy" ;;
esac
