#!/usr/bin/env bash
# kill.sh COUNT [PROGRAM]: starts a small study again and again, kills each with SIGKILL at a random
# moment, resumes it, and holds what it leaves against a run that nothing stopped: weights, momentum,
# running values, predictions and records have to be the same to the bit. Says how many kills there
# were and where they struck; exits 1 at the first difference. What differs is kept.
set -euo pipefail
[[ ${1-} =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/kill.sh COUNT [PROGRAM]" >&2 && exit 2; }
count=$1
program=$(realpath "${2-$(dirname "$0")/../build/release/normlab}")
# shellcheck source=tests/support/toy_data.sh
source "$(dirname "$0")/../tests/support/toy_data.sh"
top=$(mktemp -d)
cd "$top"

toy_data 92 40

# A last batch that is smaller, and a rate that changes.
study=(toy.yaml --data data --device cpu --threads 1 --no-report --quiet --epochs 8
  --set model.norm=batch --set train.lr=0.05 --set train.l1=0.001 --set train.schedule.kind=step
  --set train.schedule.every=3 --set train.schedule.factor=0.5)

train() { # OUT [OPTION...]
  local out=$1
  shift
  "$program" train "${study[@]}" --out "$out" "$@" >>log 2>&1
}
options=(--log-every 3 --save-every 5 --layer-stats)

# digest OUT: one line a file; of a state what lies behind its header, of the records all but times
digest() {
  local unit=$1/toy/seed-1 file length
  for file in init last best state; do
    length=$(od -An -tu8 -N8 "$unit/$file.safetensors")
    printf '%s %s\n' "$file" "$(tail -c +$((9 + length)) "$unit/$file.safetensors" | sha256sum)"
  done
  printf 'predictions %s\n' "$(sha256sum <"$unit/predictions.csv")"
  printf 'metrics %s\n' "$(sed 's/,"seconds":.*//' "$unit/metrics.jsonl" | sha256sum)"
}

# place OUT: what a killed run had come to
place() {
  local unit=$1/toy/seed-1
  [ -e "$unit/run.json" ] || { echo "before the record" && return; }
  [ -e "$unit/state.safetensors" ] || { echo "before the first state" && return; }
  [ -e "$unit/predictions.csv" ] && echo "at the end" && return
  grep -ao '\\"epoch\\":[0-9]*,\\"step\\":[0-9]*' "$unit/state.safetensors" | head -n 1
}

began=$(date +%s%N)
train whole "${options[@]}"
whole=$((($(date +%s%N) - began) / 1000))
digest whole >expected
kills=0 rounds=0
while [ "$kills" -lt "$count" ]; do
  rounds=$((rounds + 1))
  [ "$rounds" -le $((count * 20 + 20)) ] || { echo "the runs end before they are killed" && exit 1; }
  rm -rf out
  "$program" train "${study[@]}" --out out "${options[@]}" >>log 2>&1 &
  id=$!
  moment=$(((RANDOM * 32768 + RANDOM) % whole))
  sleep "$(printf '%d.%06d' $((moment / 1000000)) $((moment % 1000000)))"
  kill -9 "$id" 2>/dev/null || true
  rc=0
  wait "$id" 2>/dev/null || rc=$?
  [ "$rc" -eq 137 ] || continue # it had ended
  kills=$((kills + 1))
  place out >>places
  resume=(--resume)
  [ -e out/toy/seed-1/run.json ] || resume=("${options[@]}" --overwrite) # nothing was promised yet
  if ! train out "${resume[@]}" || ! digest out 2>&1 | cmp -s - expected; then
    echo "kill $kills ($(tail -n 1 places)): not as the run that nothing stopped; see $top"
    exit 1
  fi
done
echo "$kills kills, each resumed to the same bits: $(sort -u places | wc -l) places, of them" \
  "$(grep -c 'before' places || true) before the first state, $(grep -c 'at the end' places || true) at the end"
rm -rf "$top"
