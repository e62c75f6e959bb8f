#!/usr/bin/env bash
# test_fail_at.sh PROGRAM LIBRARY [--tap=FILE] [--step=N] [CASE...]: one call fails - the first, the second, and
# so on - and each time the program has to end by itself with a message, or have done all that was
# asked; what was there before is intact, and the same command without the failure goes on to the
# end. Of training, resuming, evaluating and reporting; writing, syncing, renaming, opening, closing
# and memory. A few of the calls of each; with --step=1 every one (hours, for memory). CASE: only
# these, as train:write. LIBRARY: fail_at.c.
set -uo pipefail
program=$1 library=$2 tap=/dev/null every='' cases=()
shift 2
for arg; do
  case $arg in
  --tap=*) tap=$(realpath "${arg#--tap=}") ;;
  --step=*) every=${arg#--step=} ;;
  *) cases+=("$arg") ;;
  esac
done
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1

# idx FILE COUNT images|labels
idx() {
  local i size="\\0\\0\\0\\$(printf %o "$2")"
  if [ "$3" = images ]; then
    printf '\0\0\10\3%b\0\0\0\34\0\0\0\34' "$size"
    head -c $(($2 * 784)) /dev/urandom
  else
    printf '\0\0\10\1%b' "$size"
    for ((i = 0; i < $2; i++)); do printf '%b' "\\0$((i * i % 7))"; done
  fi >"data/$1"
}
mkdir data
for part in train t10k; do
  idx $part-images-idx3-ubyte 20 images
  idx $part-labels-idx1-ubyte 20 labels
done
cat >toy.yaml <<'Y'
data: {batch: 8}
model:
  norm: batch
  layers:
    - {conv: 4, kernel: 5, norm: true, relu: true}
    - {pool: max, size: 4}
    - {conv: 10, kernel: 3}
    - {pool: average}
train: {epochs: 2, seed: 3}
Y
unit=toy/seed-3
options=(--data data --device cpu --threads 1 --jobs 1)
train() { "$program" train toy.yaml "${options[@]}" --no-report --quiet --out "$@"; }
train whole --save-every 2 >/dev/null || exit 1
train half --save-every 2 --epochs 1 >/dev/null || exit 1

# weights FILE: what lies behind the header
weights() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }

same_results() { # OUT
  local file
  for file in init last best state; do
    cmp <(weights "whole/$unit/$file.safetensors") <(weights "$1/$unit/$file.safetensors") || return 1
  done
  cmp "whole/$unit/predictions.csv" "$1/$unit/predictions.csv" || return 1
  cmp <(sed 's/,"seconds":.*//' "whole/$unit/metrics.jsonl") \
    <(sed 's/,"seconds":.*//' "$1/$unit/metrics.jsonl")
}

# What each command is: begin_x prepares; run_x runs it; check_x RC: what it left is in order.
begin_train() { rm -rf out; }
run_train() { train out --save-every 2; }
check_train() { # what was saved can be gone on with; without a record there is no run yet
  [ "$1" -ne 0 ] || same_results out || return 1
  if [ -e out/$unit/run.json ]; then
    train out --resume --save-every 2 >again 2>&1 || { cat again && return 1; }
  else
    train out --save-every 2 --overwrite >again 2>&1 || { cat again && return 1; }
  fi
  same_results out
}
begin_resume() { rm -rf out && cp -r half out; }
run_resume() { train out --resume --epochs 2; }
check_resume() {
  [ "$1" -ne 0 ] || same_results out || return 1
  train out --resume --epochs 2 >again 2>&1 || { cat again && return 1; }
  same_results out
}
begin_eval() { :; }
run_eval() { "$program" eval whole/$unit/last.safetensors --data data --device cpu --json --logits logits.csv; }
check_eval() { [ "$1" -ne 0 ] || { cmp stdout expected_eval && cmp logits.csv expected_logits; }; }
begin_report() { rm -rf out && cp -r reported out; }
run_report() { "$program" report out; }
check_report() { # the old report or a new one, each file whole; nothing beside it, or not for long
  local file
  if [ "$1" -ne 0 ]; then
    cmp reported/report/findings.md out/report/findings.md || return 1
    run_report >again 2>&1 || { cat again && return 1; }
  fi
  [ "$(ls -A out)" = "$(ls -A reported)" ] || { ls -A out && return 1; }
  if [ "$1" -ne 0 ] || ! [ -s stderr ]; then
    diff <(cd reported/report && ls) <(cd out/report && ls) || return 1
    cmp reported/report/findings.md out/report/findings.md || return 1
  fi # else it says what it left out
  for file in out/report/*.png; do tail -c 8 "$file" | grep -q IEND || return 1; done
  for file in out/report/*.svg; do tail -c 10 "$file" | grep -q '</svg>' || return 1; done
  tail -c 10 out/report/index.html | grep -q '</html>'
}

run_eval >expected_eval || exit 1
mv logits.csv expected_logits
cp -r whole reported
"$program" report reported >/dev/null 2>&1 || exit 1

# once COMMAND KIND N: one run in which call N fails
once() {
  local rc=0
  "begin_$1"
  rm -f count
  (
    export LD_PRELOAD=$library NL_FAIL_KIND=$2 NL_FAIL_AT=$3 NL_FAIL_COUNT=$top/count
    ulimit -c 0
    exec 9>&-
    "run_$1" >stdout 2>stderr
  ) || rc=$?
  [ "$rc" -lt 124 ] || { echo "call $3: exit $rc" && cat stderr && return 1; }
  [ "$rc" -eq 0 ] || grep -q '^normlab: ' stderr || { echo "call $3: exit $rc, nothing said" && return 1; }
  "check_$1" "$rc" || { echo "call $3 (exit $rc): $(cat stderr)" && return 1; }
}

# all COMMAND KIND: each call, or a few of them
all() {
  local n calls step=$every tried=0
  once "$1" "$2" 0 || return 1
  calls=$(cat count)
  [ "$calls" -gt 0 ] || { echo "no call of $2 is seen" && return 1; }
  [ -n "$step" ] || step=$((calls / 4 + 1))
  for ((n = 1; n <= calls; n += step)); do
    once "$1" "$2" "$n" || return 1
    tried=$((tried + 1))
  done
  echo "$1, $2: $tried of $calls calls" >&2
}

case_() { all ${1/:/ } 2>>counts; }
[ "${#cases[@]}" -gt 0 ] ||
  cases=({train,resume,eval,report}:{write,fsync,rename,open,close,memory})
run_cases "$tap" case_ "${cases[@]}"
rc=$?
cat counts
exit $rc
