#!/usr/bin/env bash
# test_gpu_script.sh [--tap=FILE]: tests of tests/gpu.sh with a bundle of stand-ins: what it does without a
# GPU, with one where all is well, and that each fault makes it fail.
# shellcheck disable=SC2016,SC2317 # what the stand-ins expand is quoted; the cases are called by name
set -uo pipefail
gpu=$(cd "$(dirname "$0")" && pwd)/gpu.sh
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$(dirname "$0")/support/tap.sh"
results_to "$tap"

stand_in() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1" && chmod +x "$1"; }

# A bundle whose program writes what a good run leaves; FAULT spoils one thing.
prepare() {
  tmp=$(mktemp -d)
  mkdir -p "$tmp/tests" "$tmp/configs" "$tmp/data" "$tmp/lib"
  touch "$tmp/configs/ln.yaml"
  echo '{"commit": "abc"}' >"$tmp/bundle.json"
  stand_in "$tmp/normlab" '
    [ "$1" = verify ] && { echo "3 cases, 1 failed"; [ "$FAULT" != verify ]; exit; }
    device=cpu limit=0
    while [ $# -gt 0 ]; do case $1 in
      *.yaml) config=$(basename "$1" .yaml) ;; --device) device=$2 ;; --out) out=$2 ;;
      --limit-batches) limit=$2 ;; esac; shift; done
    [ "$device" = cuda ] && [ "$FAULT" = gpu ] && { echo "normlab: cuda: no driver" >&2; exit 4; }
    unit=$out/$config/seed-1; mkdir -p "$unit"
    printf "  \"device\": {\n    \"backend\": \"cuda\",\n    \"description\": \"a stand-in\"\n  },\n" \
      >"$unit/run.json"
    shift=0; [ "$device" = cuda ] && [ "$FAULT" = loss ] && shift=1
    for ((i = 0; i < limit; i++)); do
      echo "{\"event\":\"step\",\"epoch\":0,\"step\":$i,\"loss\":2.${shift}${i}1,\"penalty\":0}"; done >"$unit/metrics.jsonl"
    echo "{\"event\":\"epoch\",\"epoch\":0,\"seconds\":0.25}" >>"$unit/metrics.jsonl"
    accuracy=99.2; [ "$FAULT" = accuracy ] && accuracy=98.9
    echo "{\"event\":\"final\",\"test_loss\":0.03,\"test_accuracy\":$accuracy}" >>"$unit/metrics.jsonl"
    weights=same; [ "$FAULT" = bits ] && weights=$out
    echo "$weights" >"$unit/last.safetensors"'
  stand_in "$tmp/tests/test_k_x" '
    for a in "$@"; do case $a in --tap=*) tap=${a#--tap=} ;; esac; done
    [ "$FAULT" = skip ] && echo "ok - a # SKIP no GPU" >"$tap" && exit 0
    echo "ok - a" >"$tap"; [ "$FAULT" = hang ] && exec sleep 60
    [ -e "$NORMLAB_TEST_CONFIGS/ln.yaml" ] && [ "$FAULT" != test ]'
  mkdir "$tmp/bench"
  stand_in "$tmp/bench/bench_launch" '[ "$FAULT" != launch ] && echo "{\"graph_us\": 51.2}"'
  stand_in "$tmp/bench/bench_gpu" 'echo "properties: {\"smVersion\": 900}"'
  stand_in "$tmp/nvidia-smi" 'echo "1980 MHz"'
  stand_in "$tmp/compute-sanitizer" '[ "$FAULT" = race ] && [ "$2" = racecheck ] && exit 9
    echo "ERROR SUMMARY: 0 errors"'
}

run() { (cd "$tmp" && FAULT=$1 PATH=$tmp:$PATH bash "$gpu" --bundle "$tmp" "${@:2}" >"$tmp/said" 2>&1); }

fails_with() {
  run "$1"
  [ $? -eq "$2" ] && grep -q "$3" "$tmp/said"
}

all_well() {
  run none || return
  python3 -c '
import json
r = json.load(open("'"$tmp"'/gpu.json"))
steps = ["tests", "verify", "compare", "repeat", "timing", "sanitize", "train"]
assert all(r[s]["passed"] for s in steps) and r["failed"] == 0 and r["build"]["commit"] == "abc"
assert r["device"] == "a stand-in" and r["date"] and r["tests"]["count"] == 1
assert r["timing"]["launches"] == {"graph_us": 51.2} and r["properties"] == {"smVersion": 900}
assert r["clocks"]["clocks.max.sm"] == "1980 MHz"
assert r["train"]["gn"]["test_accuracy"] == 99.2 and abs(r["timing"]["ln"] - 250 / 938) < 1e-3'
}
without_a_gpu() { fails_with gpu 4 'no GPU.*no driver' && [ ! -e "$tmp/gpu.json" ]; }
a_failing_test() { fails_with test 1 'tests: FAILED'; }
only_skipped_tests() { fails_with skip 1 'tests: FAILED'; }
a_wrong_operation() { fails_with verify 1 'verify: FAILED'; }
other_losses() { fails_with loss 1 'compare: FAILED'; }
other_bits() { fails_with bits 1 'repeat: FAILED'; }
low_accuracy() { fails_with accuracy 1 'train: FAILED'; }
a_race() { fails_with race 1 'sanitize: FAILED'; }
no_bundle() { (cd "$tmp" && bash "$gpu" --bundle "$tmp/data" >"$tmp/said" 2>&1); [ $? -eq 2 ]; }
unknown_step() { run none nonsense; [ $? -eq 2 ]; }
timing_alone_is_no_test() { run none timing; [ $? -eq 1 ] && grep -q 'no test ran' "$tmp/said"; }
what_hangs_does_not_stop_the_rest() {
  GPU_LIMIT=1 fails_with hang 1 'test_k_x was ended after 1 s' && grep -q 'tests: FAILED' "$tmp/said" &&
    grep -q 'gpu: train: ok' "$tmp/said"
}
each_step_is_written() {
  stand_in "$tmp/tests/test_k_x" 'read -r _ _ _ script _ <"/proc/$PPID/stat"; kill -9 "$script"'
  run none compare tests 2>/dev/null
  python3 -c 'import json; assert json.load(open("'"$tmp"'/gpu.json"))["compare"]["passed"]'
}
fetched_libraries() {
  mkdir -p "$tmp/cache/normlab/cuda-13.0/nvidia/cudnn/lib"
  stand_in "$tmp/tests/test_k_x" '
    for a in "$@"; do case $a in --tap=*) echo "ok - a" >"${a#--tap=}" ;; esac; done
    [[ :$NORMLAB_LIBRARY_PATH: == *"/cache/normlab/cuda-13.0/nvidia/cudnn/lib:"* ]]'
  XDG_CACHE_HOME=$tmp/cache run none tests
}
what_fails_does_not_stop_the_rest() {
  fails_with launch 1 'bench_launch fails' && grep -q 'timing: FAILED' "$tmp/said" &&
    grep -q 'gpu: train: ok' "$tmp/said"
}
quick() {
  run none --quick && python3 -c '
import json
r = json.load(open("'"$tmp"'/gpu.json"))
assert all(r[s]["passed"] for s in ("tests", "compare", "timing")) and "train" not in r'
}
one_step() { run none compare && ! grep -q train "$tmp/gpu.json"; }

cases=(all_well without_a_gpu a_failing_test only_skipped_tests a_wrong_operation other_losses other_bits
  low_accuracy a_race no_bundle unknown_step timing_alone_is_no_test what_fails_does_not_stop_the_rest
  what_hangs_does_not_stop_the_rest each_step_is_written fetched_libraries quick one_step)
failed=0
{
  echo "1..${#cases[@]}"
  for i in "${!cases[@]}"; do
    prepare
    if "${cases[i]}"; then
      echo "ok $((i + 1)) - ${cases[i]}"
    else
      echo "not ok $((i + 1)) - ${cases[i]}" && failed=1
      sed 's/^/# /' "$tmp/said"
    fi
    rm -rf "$tmp"
  done
} >&3
[ "$failed" -eq 0 ] || { [ "$tap" = /dev/stdout ] || grep -A 20 '^not ok' "$tap"; }
exit "$failed"
