#!/usr/bin/env bash
# gpu.sh [--bundle DIR] [--out FILE] [--quick] [STEP...]: everything that only a GPU can show, from the
# folder that scripts/bundle.sh made. Needs bash and coreutils there, no package and no network. A step that
# fails is named, and the others go on; a program that hangs is ended after GPU_LIMIT seconds (default 300).
# Steps, all by default, --quick: those marked by a star:
#   tests *   the tests of kernels and engine, on the device
#   compare * the first 20 losses of each variant, CPU and GPU
#   timing *  milliseconds of a training step, batch 64; what launches cost; every convolution by every plan
#   verify    every operation against double precision
#   repeat    two runs with one seed: the same bits
#   sanitize  compute-sanitizer's memcheck, racecheck, initcheck and synccheck
#   train     bn_l1, ln and gn for 20 epochs
# Writes FILE (default: gpu.json), one JSON object, after each step; exits 0 only if every step passed and a
# GPU ran something. Without a GPU: exit 4.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bundle='' out=gpu.json steps=()
all=(tests compare timing verify repeat sanitize train) # first what teaches most
quick=(tests compare timing)
variants=(bn_l1 ln gn)

usage() { sed -n '2,16s/^# \?//p' "$0"; }
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help) usage && exit ;;
  --bundle) bundle=${2:?} && shift 2 ;;
  --out) out=${2:?} && shift 2 ;;
  --quick) steps+=("${quick[@]}") && shift ;;
  *)
    [[ " ${all[*]} " == *" $1 "* ]] || { echo "gpu.sh: no step '$1': ${all[*]}" >&2 && exit 2; }
    steps+=("$1") && shift
    ;;
  esac
done
[ ${#steps[@]} -gt 0 ] || steps=("${all[@]}")
[ -n "$bundle" ] || for bundle in "$here" "$here/../bundle"; do [ -x "$bundle/normlab" ] && break; done
[ -x "$bundle/normlab" ] || { echo "gpu.sh: no bundle: scripts/bundle.sh makes it" >&2 && exit 2; }
bundle=$(cd "$bundle" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- the machine ----

# Folders with libraries of CUDA and cuDNN that the loader would not look into: Python wheels'.
wheel_folders() {
  local root
  if command -v python3 >/dev/null; then
    python3 -c 'import site, sys; print("\n".join(sys.path + site.getsitepackages()))' 2>/dev/null
  fi
  for root in /usr/lib /usr/local/lib /opt /venv "${HOME-}/.local/lib" "${VIRTUAL_ENV:-}"; do
    [ -d "$root" ] && find "$root" -maxdepth 6 -type d -name '*-packages' 2>/dev/null
  done
}
libraries=$(wheel_folders | sort -u | while read -r folder; do
  [ -n "$folder" ] || continue
  for lib in "$folder"/nvidia/*/lib; do [ -d "$lib" ] && echo "$lib"; done
done | sort -u | paste -sd:)
# and what scripts/cuda.sh has fetched, which the program looks for in the cache: it gets another one here
for folder in "${XDG_CACHE_HOME:-${HOME-}/.cache}"/normlab/cuda-*/nvidia/*/lib /usr/local/cuda/lib64 \
  /usr/lib/x86_64-linux-gnu; do
  [ -d "$folder" ] && libraries=$libraries:$folder
done
export NORMLAB_LIBRARY_PATH=${NORMLAB_LIBRARY_PATH:+$NORMLAB_LIBRARY_PATH:}$libraries
export LD_LIBRARY_PATH=$bundle/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export XDG_CACHE_HOME=$work/cache
export NORMLAB_TEST_CONFIGS=$bundle/configs

# limited COMMAND...: ended where it takes too long, and then it says so
limited() {
  local code=0
  timeout -k 10 "${GPU_LIMIT:-300}" "$@" || code=$?
  case $code in 124 | 137) echo "gpu: $(basename "$1") was ended after ${GPU_LIMIT:-300} s" >&2 ;; esac
  return $code
}
normlab() { limited "$bundle/normlab" "$@"; }
train() { normlab train --data "$bundle/data" --no-report --quiet "$@" >/dev/null; }
config() { echo "$bundle/configs/$1.yaml"; }

probe=$(train "$(config ln)" --device cuda --epochs 0 --out "$work/probe" 2>&1)
code=$?
if [ $code -ne 0 ]; then
  echo "gpu.sh: no GPU that the program can use (exit $code): $(head -n 1 <<<"$probe")" >&2
  exit 4
fi
gpu_of() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }

# ---- results: each step says one line and leaves a member of the JSON object ----

failed=0 ran=0 members=''
text() { printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g'; }
member() { members+=$(printf ',\n "%s": %s' "$1" "$2"); }
# verdict STEP CODE NOTE [MEMBERS]
verdict() {
  local word=ok
  [ "$2" -eq 0 ] || { word=FAILED && failed=$((failed + 1)); }
  echo "gpu: $1: $word: $3"
  member "$1" "{\"passed\": $([ "$2" -eq 0 ] && echo true || echo false), \"note\": \"$(text "$3")\"${4:+, $4}}"
}
# field NAME: that number of each JSON line read, or null
field() { sed -n "s/.*\"$1\": *\([^,}]*\).*/\1/p"; }
metrics() { cat "$1/$2/seed-1/metrics.jsonl"; }

# ---- steps ----

step_tests() {
  local program name tap passed=0 bad=0 p
  for program in "$bundle"/tests/test_*; do
    name=$(basename "$program") tap=$work/$(basename "$program").tap
    limited "$program" -j1 --tap="$tap" >"$work/$name.log" 2>&1 || { bad=$((bad + 1)) && tail -n 20 "$work/$name.log"; }
    p=$(grep '^ok ' "$tap" 2>/dev/null | grep -vc '# SKIP')
    [ "${p:-0}" -gt 0 ] || { bad=$((bad + 1)) && echo "gpu: tests: $name ran nothing"; }
    passed=$((passed + ${p:-0}))
  done
  ran=$((ran + passed))
  [ "$passed" -gt 0 ] || bad=$((bad + 1))
  verdict tests "$bad" "$passed passed, $bad programs failed" "\"count\": $passed"
}

step_verify() {
  local code
  normlab verify --device cuda >"$work/verify" 2>&1
  code=$?
  cat "$work/verify"
  [ $code -ne 0 ] || ran=$((ran + 1))
  verdict verify $code "$(grep -E ' cases, ' "$work/verify" || tail -n 1 "$work/verify")"
}

# The bounds: the first loss within 1e-5, all 20 within 3e-2 of the CPU's.
step_compare() {
  local v device code=0 note worst='' rest=''
  for v in "${variants[@]}"; do
    for device in cpu cuda; do
      train "$(config "$v")" --device $device --epochs 1 --limit-batches 20 --log-every 1 \
        --out "$work/compare-$device" || code=1
      metrics "$work/compare-$device" "$v" | grep '"event": *"step"' | field loss \
        >"$work/$v.$device"
    done
    note=$(paste "$work/$v.cpu" "$work/$v.cuda" | awk '
      { d = ($2 - $1) / $1; if (d < 0) d = -d; if (NR == 1) first = d; if (d > most) most = d }
      $1 !~ /^[0-9]/ || $2 !~ /^[0-9]/ || !(d <= 3e-2) || (NR == 1 && !(d <= 1e-5)) { bad = 1 }
      END { print (NR == 20 && !bad ? 0 : 1), first + 0, most + 0 }')
    read -r bad first most <<<"$note"
    [ "$bad" -eq 0 ] || code=1
    worst+=" $v first $first, worst $most;"
    rest+="${rest:+, }\"$v\": {\"first\": $first, \"worst\": $most}"
  done
  [ $code -ne 0 ] || ran=$((ran + 1))
  verdict compare $code "relative differences of 20 losses:$worst" "$rest"
}

step_repeat() {
  local v i code=0 sums rest=''
  for v in "${variants[@]}"; do
    for i in 1 2; do
      train "$(config "$v")" --device cuda --epochs 1 --out "$work/repeat$i" || code=1
    done
    sums=$(sha256sum "$work"/repeat[12]/"$v"/seed-1/last.safetensors | cut -d' ' -f1 | sort -u)
    [ "$(wc -l <<<"$sums")" -eq 1 ] && [ ${#sums} -eq 64 ] || code=1
    rest+="${rest:+, }\"$v\": \"${sums:0:64}\""
  done
  [ $code -ne 0 ] || ran=$((ran + 1))
  verdict repeat $code "two runs of one epoch with seed 1, SHA-256 of the weights" "$rest"
}

step_timing() {
  local v code=0 note='' rest='' ms
  for v in "${variants[@]}"; do
    train "$(config "$v")" --device cuda --epochs 3 --out "$work/timing" || code=1
    ms=$(metrics "$work/timing" "$v" | grep '"event": *"epoch"' | field seconds | sort -n |
      head -n 1 | awk '{printf "%.4f", $1 * 1000 / 938}')
    [ -n "$ms" ] || { ms=null && code=1; }
    note+=" $v $ms ms;"
    rest+="${rest:+, }\"$v\": $ms"
  done
  if [ -x "$bundle/bench/bench_launch" ]; then
    local launches
    if launches=$(limited "$bundle/bench/bench_launch"); then
      rest+=", \"launches\": $launches"
    else
      code=1 && echo 'gpu: timing: bench_launch fails'
    fi
  fi
  if [ -x "$bundle/bench/bench_gpu" ]; then # the device, and every convolution by every plan
    limited "$bundle/bench/bench_gpu" >"${out%.json}-device.txt" 2>&1 ||
      { code=1 && echo 'gpu: timing: bench_gpu fails' && tail -n 3 "${out%.json}-device.txt"; }
    local properties
    properties=$(sed -n 's/^properties: //p' "${out%.json}-device.txt")
    [[ $properties != '{'*'}' ]] || member properties "$properties"
  fi
  verdict timing $code "a step of batch 64, best of 3 epochs:$note" "$rest"
}

# Our kernels by all four tools; whole steps, with the libraries' kernels in them, by memcheck alone.
step_sanitize() {
  local sanitizer tool program code=0 runs=0 flags
  sanitizer=$(command -v compute-sanitizer || find /usr/local/cuda*/ -name compute-sanitizer \
    -type f 2>/dev/null | head -n 1)
  if [ -z "$sanitizer" ]; then
    verdict sanitize 1 "compute-sanitizer is not on this machine: nothing was checked"
    return
  fi
  for tool in memcheck racecheck initcheck synccheck; do
    flags=(--tool "$tool" --error-exitcode 9 --target-processes all)
    for program in "$bundle"/tests/test_k_*; do
      runs=$((runs + 1))
      if ! limited "$sanitizer" "${flags[@]}" "$program" -j4 >"$work/sanitize" 2>&1 ||
        grep -q 'ERROR SUMMARY: [1-9]' "$work/sanitize"; then
        code=1 && echo "gpu: sanitize: $tool: $(basename "$program")" && tail -n 20 "$work/sanitize"
      fi
    done
  done
  train "$(config bn_l1)" --device cuda --epochs 0 --out "$work/warm"
  limited "$sanitizer" --tool memcheck --error-exitcode 9 "$bundle/normlab" train "$(config bn_l1)" --quiet \
    --no-report --data "$bundle/data" --device cuda --epochs 1 --limit-batches 2 \
    --out "$work/sanitized" >"$work/sanitize" 2>&1 || { code=1 && tail -n 20 "$work/sanitize"; }
  verdict sanitize $code "$runs runs of kernel tests under 4 tools, 2 training steps under memcheck"
}

step_train() {
  local v code=0 note='' rest='' accuracy loss seconds
  for v in "${variants[@]}"; do
    train "$(config "$v")" --device cuda --epochs 20 --out "$work/train" || code=1
    accuracy=$(metrics "$work/train" "$v" | grep '"event": *"final"' | field test_accuracy)
    loss=$(metrics "$work/train" "$v" | grep '"event": *"final"' | field test_loss)
    seconds=$(metrics "$work/train" "$v" | grep '"event": *"epoch"' | field seconds |
      awk '{s += $1} END {printf "%.2f", s}')
    awk -v a="${accuracy:-0}" 'BEGIN {exit !(a >= 99.05)}' || code=1
    note+=" $v ${accuracy:-none} % (${seconds} s);"
    rest+="${rest:+, }\"$v\": {\"test_accuracy\": ${accuracy:-null}, \"test_loss\": ${loss:-null}, \"seconds\": ${seconds:-null}}"
  done
  [ $code -ne 0 ] || ran=$((ran + 1))
  verdict train $code "test accuracy after 20 epochs:$note" "$rest"
}

# What the clocks are while nothing runs, and the most they may be.
clocks() {
  local name
  for name in clocks.sm clocks.max.sm clocks.mem clocks.max.mem power.limit temperature.gpu; do
    printf '"%s": "%s", ' "$name" "$(text "$(gpu_of "$name")")"
  done
}

results() {
  local clocks run_json=$work/probe/ln/seed-1/run.json
  clocks=$(clocks)
  printf '{\n "date": "%s",\n "gpu": "%s",\n "driver": "%s",\n "device": "%s",\n' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(text "$(gpu_of name)")" "$(text "$(gpu_of driver_version)")" \
    "$(text "$(sed -n 's/.*"description": *"\([^"]*\)".*/\1/p' "$run_json" | head -n 1)")"
  printf ' "build": %s%s,\n "clocks": {%s},\n "failed": %d\n}\n' "$(cat "$bundle/bundle.json")" "$members" \
    "${clocks%, }" "$failed"
}
write_results() { results >"$out.part" && mv "$out.part" "$out"; }

for step in "${steps[@]}"; do
  "step_$step"
  write_results # what comes next may take the machine with it
done
if [ "$ran" -eq 0 ]; then
  echo "gpu: no test ran on the GPU"
  failed=$((failed + 1))
  write_results
fi
echo "gpu: $out written; ${#steps[@]} steps, $failed failed"
[ "$failed" -eq 0 ]
