#!/usr/bin/env bash
# kill.sh COUNT [PROGRAM]: starts a small study again and again, kills each with SIGKILL at a random
# moment, resumes it, and holds what it leaves against a run that nothing stopped: weights, momentum,
# running values, predictions and records have to be the same to the bit. Says how many kills there
# were and where they struck; exits 1 at the first difference. What differs is kept.
set -euo pipefail
[[ ${1-} =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/kill.sh COUNT [PROGRAM]" >&2 && exit 2; }
count=$1
program=$(realpath "${2-$(dirname "$0")/../build/release/normlab}")
top=$(mktemp -d)
cd "$top"

# idx FILE COUNT images|labels: a data file; noise is as good as any picture here
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
idx train-images-idx3-ubyte 92 images
idx train-labels-idx1-ubyte 92 labels
idx t10k-images-idx3-ubyte 40 images
idx t10k-labels-idx1-ubyte 40 labels
cat >study.yaml <<'Y'
data: {batch: 8, rotate: 7, shuffle: true}
model:
  norm: batch
  dropout: 0.05
  layers:
    - {conv: 4, kernel: 5, norm: true, relu: true}
    - {pool: max, size: 4, dropout: true}
    - {conv: 10, kernel: 3}
    - {pool: average}
train:
  epochs: 8
  lr: 0.05
  momentum: 0.9
  l1: 0.001
  schedule: {kind: step, every: 3, factor: 0.5}
  seed: 3
Y

train() { # OUT [OPTION...]
  local out=$1
  shift
  "$program" train study.yaml --data data --device cpu --threads 1 --no-report --quiet --out "$out" \
    "$@" >>log 2>&1
}
options=(--log-every 3 --save-every 5 --layer-stats)

# digest OUT: one line a file; of a state what lies behind its header, of the records all but times
digest() {
  local unit=$1/study/seed-3 file length
  for file in init last best state; do
    length=$(od -An -tu8 -N8 "$unit/$file.safetensors")
    printf '%s %s\n' "$file" "$(tail -c +$((9 + length)) "$unit/$file.safetensors" | sha256sum)"
  done
  printf 'predictions %s\n' "$(sha256sum <"$unit/predictions.csv")"
  printf 'metrics %s\n' "$(sed 's/,"seconds":.*//' "$unit/metrics.jsonl" | sha256sum)"
}

# place OUT: what a killed run had come to
place() {
  local unit=$1/study/seed-3
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
  "$program" train study.yaml --data data --device cpu --threads 1 --no-report --quiet --out out \
    "${options[@]}" >>log 2>&1 &
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
  [ -e out/study/seed-3/run.json ] || resume=("${options[@]}" --overwrite) # nothing was promised yet
  if ! train out "${resume[@]}" || ! digest out 2>&1 | cmp -s - expected; then
    echo "kill $kills ($(tail -n 1 places)): not as the run that nothing stopped; see $top"
    exit 1
  fi
done
echo "$kills kills, each resumed to the same bits: $(sort -u places | wc -l) places, of them" \
  "$(grep -c 'before' places || true) before the first state, $(grep -c 'at the end' places || true) at the end"
rm -rf "$top"
