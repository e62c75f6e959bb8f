#!/usr/bin/env bash
# study.sh [--part main|fair|small_batch]... [--jobs N] [--collect]: trains the study that README
# shows, on the CPU: batch norm with and without L1, layer norm and group norm, 10 seeds each (main);
# the fair grid (fair) and the small batches (small_batch), 3 seeds each. Then the report, in
# docs/study/PART, of which README's tables and pictures are made.
#
# May be stopped at any time, and goes on where it was, on another machine too: what is finished is
# kept without its weights in docs/study, to be committed, and is not trained again. It trains in
# runs/study, where what is unfinished stays. As the same seeds give the same bits everywhere, the
# units of several machines are one study; when the engine's bits change (the hashes of
# tests/test_same_bits.c), it starts anew; what was kept then lies in docs/study.BITS.
#     --collect    trains nothing: takes what is finished in runs/study into docs/study
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"
program=$top/build/release/normlab
kept=$top/docs/study

parts=() jobs=auto collect=''
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit ;;
  --collect) collect=1 && shift && continue ;;
  --part | --jobs) [ $# -gt 1 ] || die 2 "study.sh: $1 needs a value" 'study.sh --help' ;;
  *) die 2 "study.sh: unknown option $1" 'study.sh --help' ;;
  esac
  case $1 in
  --part)
    [[ $2 =~ ^(main|fair|small_batch)$ ]] ||
      die 2 "study.sh: no part $2" 'the parts are main, fair and small_batch'
    parts+=("$2")
    ;;
  --jobs) jobs=$2 ;;
  esac
  shift 2
done
[ ${#parts[@]} -gt 0 ] || parts=(main fair small_batch)

# plan_of PART: sets configs, seeds and epochs
plan_of() {
  epochs=20 seeds=3
  case $1 in
  main) configs=("$top"/configs/{bn_l1,ln,gn,bn}.yaml) seeds=10 ;;
  fair) configs=("$top"/configs/study/fair/*.yaml) ;;
  small_batch) configs=("$top"/configs/study/small_batch/*.yaml) epochs=5 ;;
  esac
}

# collect_units PART: what is finished in the work folder and not kept yet
collect_units() {
  local unit to
  for unit in "$work/$1"/*/seed-*; do
    to=$kept/${unit#"$work/"}
    if [ -e "$to/run.json" ] || ! grep -q '"status": "finished"' "$unit/run.json" 2>/dev/null; then
      continue
    fi
    rm -rf "$to.new" && mkdir -p "$to.new"
    cp "$unit/metrics.jsonl" "$to.new/"
    sed 's|"data": "/[^"]*"|"data": "data"|' "$unit/run.json" >"$to.new/run.json" # the link
    gzip -9nc "$unit/predictions.csv" >"$to.new/predictions.csv.gz"
    rm -rf "$to" && mv "$to.new" "$to"
  done
}

# missing CONFIG PART: the seeds that are not kept yet, as --seeds takes them
missing() {
  local seed list='' name
  name=$(basename "$1" .yaml)
  for ((seed = 1; seed <= seeds; seed++)); do
    [ -e "$kept/$2/$name/seed-$seed/run.json" ] || list+=,$seed
  done
  echo "${list#,}"
}

# train PART: what is missing, the configs that lack the same seeds in one call. The data's folder
# goes by a link, so that no record names a path of this machine.
train() {
  local config list rc=0 resume group
  local -A together=()
  for config in "${configs[@]}"; do
    list=$(missing "$config" "$1")
    [ -z "$list" ] || together[$list]+=$config$'\n'
  done
  for list in "${!together[@]}"; do
    resume=()
    [ ! -d "$1" ] || resume=(--resume)
    mapfile -t group <<<"${together[$list]%$'\n'}"
    "$program" train "${group[@]}" --seeds "$list" --epochs "$epochs" --device cpu \
      --jobs "$jobs" --data data --out "$1" "${resume[@]}" --no-report || rc=$?
    collect_units "$1"
    [ $rc -eq 0 ] || exit $rc
  done
}

# report PART: from what is kept alone; README's pictures go into docs/
report() {
  local made=$work/report-$1/report
  local -A pictures=([main]=validation_accuracy [fair]=effects [small_batch]=error_by_batch)
  "$program" report "$kept/$1" --out "${made%/report}"
  cp "$made/findings.md" "$kept/$1/"
  [ "$1" != main ] || cp "$made/results.json" "$top/docs/"
  cp "$made/${pictures[$1]}.png" "$top/docs/"
}

bits=$(grep -oE '"[0-9a-f]{64}"' "$top/tests/test_same_bits.c" | sha256sum | cut -c 1-16)
work=$top/runs/study/$bits
data=${NORMLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist}
if [ "$(cat "$kept/bits" 2>/dev/null)" != "$bits" ]; then
  [ ! -e "$kept/bits" ] || mv "$kept" "$kept.$(cat "$kept/bits")" # nothing is lost
  mkdir -p "$kept" && echo "$bits" >"$kept/bits"
  git -C "$top" rev-parse --short HEAD >"$kept/commit" 2>/dev/null || true
fi
for part in "${parts[@]}"; do collect_units "$part"; done
[ -z "$collect" ] || exit 0

need build report
build release normlab
"$top/scripts/fetch-data.sh" --keep mnist "$data"
mkdir -p "$work" && cd "$work" && ln -sfn "$(realpath "$data")" data
for part in "${parts[@]}"; do
  plan_of "$part"
  train "$part"
  report "$part"
done
