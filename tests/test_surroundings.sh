#!/usr/bin/env bash
# test_surroundings.sh PROGRAM [--tap=FILE]: what the program is started in and told to
# write to: closed descriptors, lost readers, low limits, devices, pipes, names full of quotes.
# Results go to FILE in TAP, like Criterion's.
set -uo pipefail
program=$1
if [ $# -lt 2 ]; then exec 3>&1; else exec 3>"${2#--tap=}"; fi
# shellcheck source=tests/support/toy_data.sh
source "$(dirname "$0")/support/toy_data.sh"
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1
number=0 failed=0

# check NAME COMMAND...: one test
check() {
  local name=surroundings::$1
  shift
  number=$((number + 1))
  if (set -e; "$@") >said 2>&1; then echo "ok $number - $name" >&3
  else
    echo "not ok $number - $name" >&3
    cat said
    failed=1
  fi
}

toy_data
train() { "$program" train toy.yaml --data data --device cpu --no-report "$@"; }
train --out run --quiet >said 2>&1 || { cat said; exit 1; }

expect() { # CODE COMMAND...
  local want=$1 got=0
  shift
  "$@" || got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want: $*"; return 1; }
}

closed_descriptors() {
  train --out closed <&- >&- 2>err || [ $? = 6 ]
  train --out closed2 <&- >&- 2>&- || [ $? = 6 ]
  for folder in closed closed2; do
    cmp $folder/toy/seed-1/last.safetensors run/toy/seed-1/last.safetensors
    [ "$(grep -c '^{"event":' $folder/toy/seed-1/metrics.jsonl)" = \
      "$(wc -l <$folder/toy/seed-1/metrics.jsonl)" ]
  done
  expect 6 "$program" summary toy.yaml >&- 2>err
  grep -q 'standard output' err
}
lost_reader() {
  mkfifo log
  head -n 1 log >first &
  expect 0 train --out lost >log 2>err
  wait
  [ "$(grep -c 'is lost from here on' err)" = 1 ]
  cmp lost/toy/seed-1/last.safetensors run/toy/seed-1/last.safetensors
}
full_output() {
  expect 6 "$program" --help >/dev/full 2>err
  grep -q 'No space left' err
}
file_limit() {
  (ulimit -f 4; expect 6 "$program" worksheet small.xlsx) 2>err
  (ulimit -f 1; expect 6 "$program" report run) 2>>err
  (ulimit -f 1; expect 6 "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits l.csv) >out 2>>err
  grep -q 'File too large' err
  [ ! -e small.xlsx ] && [ ! -e l.csv ]
  [ -z "$(find . -name '*.tmp')" ]
}
few_descriptors() {
  (ulimit -n 3; train --out fresh) 2>err && return 1
  ! grep -q 'already there' err
}
small_stack() {
  (ulimit -Ss 64; expect 0 "$program" worksheet stack.xlsx)
  (ulimit -s 64; expect 1 "$program" worksheet stack2.xlsx) 2>err
  grep -q 'ulimit -s' err
}
little_memory() { # none is lost: a message and exit 1, or the work is done
  local kib code
  for kib in 12000 16000 20000 24000 28000 32000 40000 60000; do
    code=0
    (ulimit -v $kib; "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --json) >out 2>err || code=$?
    [ $code = 0 ] || [ $code = 1 ] || [ $code = 127 ] || { echo "$kib KiB: exit $code"; cat err; return 1; }
    [ $code != 1 ] || grep -q 'out of memory' err
  done
}
devices_and_pipes() {
  "$program" worksheet /dev/null
  [ -c /dev/null ]
  mkfifo pipe.csv
  cat pipe.csv >copy &
  "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits pipe.csv >out
  wait
  [ -p pipe.csv ] && [ "$(wc -l <copy)" = 41 ]
  ln -s there.csv link.csv
  : >there.csv
  "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits link.csv >out
  [ -L link.csv ] && cmp there.csv copy
}
its_own_input() {
  cp run/toy/seed-1/last.safetensors own.safetensors
  ln own.safetensors other.safetensors
  for path in own.safetensors other.safetensors; do
    expect 2 "$program" eval own.safetensors --data data --device cpu --logits $path 2>err
    grep -q 'being read' err
  done
  cmp own.safetensors run/toy/seed-1/last.safetensors
}
no_files() { # a pipe and a device in a record's place do not hold the report up
  cp -r run odd
  rm odd/toy/seed-1/predictions.csv
  mkfifo odd/toy/seed-1/predictions.csv
  timeout 60 "$program" report odd 2>err
  grep -q 'not a regular file' err
  rm odd/toy/seed-1/metrics.jsonl
  ln -s /dev/zero odd/toy/seed-1/metrics.jsonl
  timeout 60 "$program" report odd 2>err || [ $? = 3 ]
  grep -q 'not a regular file' err
}
whole_report() { # FOLDER: all that its list names is there, and nothing unfinished
  local name
  while IFS= read -r name; do [ -s "$1/report/$name" ] || { echo "no $name"; return 1; }; done \
    <"$1/report/plots/files.txt"
}
killed_report() { # the old one or the new one, whole; what is not its own is carried over
  cp -r run again
  "$program" report again
  echo mine >again/report/mine.txt
  echo mine >again/report/plots/mine.gp
  (ulimit -f 1; expect 6 "$program" report again) 2>err
  whole_report again
  for delay in 0 0.01 0.02 0.04 0.06 0.1 0.15 0.2 0.3 0.4; do
    "$program" report again &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! || true
    whole_report again
  done
  mkdir "again/.report.$(hostname).4194999.tmp" # of a process that cannot be
  echo too >"again/.report.$(hostname).4194999.tmp/too.txt"
  "$program" report again
  whole_report again
  [ "$(cat again/report/mine.txt again/report/plots/mine.gp again/report/too.txt | tr '\n' ' ')" = "mine mine too " ]
  [ "$(ls -A again | tr '\n' ' ')" = "report toy " ]
}
quotes() {
  local name="a''b'''c\`d\$(e)\\"
  mkdir -p "quoted/$name"
  cp -r run/toy/seed-1 "quoted/$name"
  rm "quoted/$name/seed-1/run.json" # which tells another name
  "$program" report quoted 2>err
  ! grep -q 'failed on' err
  if command -v gnuplot >/dev/null; then [ -s quoted/report/accuracy_by_seed.png ]; fi
}

sanitized=$("$program" --version --verbose | grep -c sanitizers || true)
for test in closed_descriptors lost_reader full_output file_limit few_descriptors small_stack \
  little_memory devices_and_pipes its_own_input no_files killed_report quotes; do
  case $sanitized:$test in
  1:little_memory | 1:small_stack)
    number=$((number + 1))
    echo "ok $number - surroundings::$test # SKIP sanitizers want more than these limits" >&3
    ;;
  *) check $test $test ;;
  esac
done
echo "1..$number" >&3
exit $failed
