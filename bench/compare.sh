#!/usr/bin/env bash
# compare.sh: measures this machine's training steps and norms beside PyTorch's and JAX's, and
# writes bench/results/<device>.json, its table and its charts. About 6 minutes on two cores.
#
#     --device cpu|cuda   default: cuda where bench_step can use it
#     --threads N         CPU threads of all programs (default: as many as cores)
#     --rounds N          at batch 64 (default 5; other batches take 3 at most)
#     --batches LIST      default: 16,64,256 on the CPU; 16,64,256,1024,4096 on a GPU
#     --parts LIST        of losses,steps,norms,profile,scaling (default: all)
#     --data DIR          default as normlab's
#     --bin DIR           the programs (default: build/release/bench)
#     --raw FILE          keep the records there, and add to those of an earlier call
#     --out DIR           default: bench/results
#     --docs DIR          where the charts go (default: docs)
#
# Programs take turns, round by round, so that a machine that slows down slows all alike. The first
# losses of all are compared before anything is timed: who computes something else is not timed. A
# peer that is not installed, or that fails, is named in table and JSON.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
device='' threads=$(nproc) rounds=5 batches='' parts=losses,steps,norms,profile,scaling
bin=$top/build/release/bench raw='' out=$top/bench/results docs=$top/docs
data=${NORMLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist}
variants=(bn_l1 ln gn)

die() {
  echo "compare.sh: $1" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  [ "$1" != -h ] && [ "$1" != --help ] || { sed -n '2,18s/^# \{0,1\}//p' "$0" && exit; }
  [ $# -gt 1 ] || die "$1 needs a value (--help)"
  case $1 in
  --device) device=$2 ;;
  --threads) threads=$2 ;;
  --rounds) rounds=$2 ;;
  --batches) batches=$2 ;;
  --parts) parts=$2 ;;
  --data) data=$2 ;;
  --bin) bin=$2 ;;
  --raw) raw=$2 ;;
  --out) out=$2 ;;
  --docs) docs=$2 ;;
  *) die "unknown option $1 (--help)" ;;
  esac
  shift 2
done

[ -x "$bin/bench_step" ] ||
  die "no programs in $bin: cmake --preset release && cmake --build --preset release"
[ -e "$data/train-images-idx3-ubyte" ] || [ -e "$data/train-images-idx3-ubyte.gz" ] ||
  die "no data in $data: scripts/fetch-mnist.sh '$data' gets it"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
raw=${raw:-$tmp/raw.jsonl}
configs=("${variants[@]/#/$top/configs/}")
configs=("${configs[@]/%/.yaml}")
export OMP_NUM_THREADS=$threads

wants() { [[ ,$parts, == *,$1,* ]]; }

# ---- who is here ----

# Beside programs that scripts/bundle.sh laid out lie their libraries; the peers have their own.
own() {
  local program=$1
  shift
  LD_LIBRARY_PATH=$bin/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$bin/$program" "$@"
}

# python_with MODULE: the first interpreter that has it
python_with() {
  local python
  for python in python3 /usr/bin/python3; do
    ! "$python" -c "import $1" 2>/dev/null || { echo "$python" && return; }
  done
}
torch=$(python_with torch)
jax=$(python_with jax)

# cuDNN may have come with PyTorch.
if [ -n "$torch" ] && [ -z "${NORMLAB_LIBRARY_PATH:-}" ]; then
  NORMLAB_LIBRARY_PATH=$("$torch" -c 'import glob, site
print(":".join(path for folder in site.getsitepackages() + [site.getusersitepackages()]
               for path in glob.glob(folder + "/nvidia/*/lib")))')
  export NORMLAB_LIBRARY_PATH
fi

if [ -z "$device" ]; then
  device=cpu
  ! own bench_step --device cuda --data "$data" --rounds 1 --steps 1 "${configs[1]}" \
    >/dev/null 2>&1 || device=cuda
fi
if [ "$device" = cuda ]; then
  batches=${batches:-16,64,256,1024,4096} modes=(nchw nhwc graph compile)
else
  batches=${batches:-16,64,256} modes=(nchw nhwc)
fi
IFS=, read -ra batches <<<"$batches"

record() { printf '%s\n' "$1" >>"$raw"; }

missing() { # PROGRAM WHY
  echo "compare.sh: $1: $2" >&2
  record "{\"what\":\"missing\",\"program\":\"$1\",\"why\":\"$2\"}"
}
[ -n "$torch" ] || missing PyTorch 'not installed'
[ -n "$jax" ] || missing JAX 'not installed'

# ---- one measurement each; what fails is named once and left out from then on ----

declare -A broken
attempt() { # NAME COMMAND...
  local name=$1 lines=$tmp/lines
  shift
  [ -z "${broken[$name]:-}" ] || return 0
  if "$@" >"$lines" 2>"$tmp/errors"; then
    cat "$lines" >>"$raw"
  else
    broken[$name]=1
    missing "$name" "failed: $(tail -n 1 "$tmp/errors" | tr -d '"\\' | cut -c 1-200)"
  fi
}

ours() { own bench_step --device "$device" --threads "$threads" --data "$data" "$@" >>"$raw"; }

# peers OPTION... [-- MODE...]: every peer in every mode, or PyTorch in the named ones alone
peers() {
  local mode options=() named=("${modes[@]}") only=''
  while [ $# -gt 0 ]; do
    [ "$1" != -- ] || { shift && named=("$@") only=1 && break; }
    options+=("$1") && shift
  done
  for mode in "${named[@]}"; do
    [ -z "$torch" ] || attempt "PyTorch $mode" "$torch" "$top/bench/peers/torch_step.py" \
      --device "$device" --mode "$mode" --threads "$threads" --data "$data" "${options[@]}" \
      "${variants[@]}"
  done
  [ -z "$jax" ] || [ -n "$only" ] || attempt JAX "$jax" "$top/bench/peers/jax_step.py" \
    --device "$device" --data "$data" "${options[@]}" "${variants[@]}"
}

# ---- parts ----

losses() {
  ours --losses 20 --init "$tmp" --set data.rotate=0 --set model.dropout=0 \
    --set data.shuffle=false "${configs[@]}"
  peers --losses 20 --init "$tmp"
  python3 "$top/bench/aggregate.py" --losses "$raw"
}

# Steps that take about a second of a program's time, ours and a peer's.
steps_of() { # BATCH FACTOR
  local steps=$(($2 * 64 / $1))
  [ "$steps" -le 200 ] || steps=200
  [ "$steps" -ge 3 ] || steps=3
  echo "$steps"
}

steps() {
  local batch round turns our_steps peer_steps
  for batch in "${batches[@]}"; do
    turns=$rounds our_steps=$(steps_of "$batch" 40) peer_steps=$(steps_of "$batch" 10)
    [ "$device" = cpu ] || our_steps=$((60000 / batch < 200 ? 60000 / batch : 200))
    [ "$device" = cpu ] || peer_steps=$our_steps
    [ "$batch" = 64 ] || [ "$turns" -le 3 ] || turns=3
    for ((round = 1; round <= turns; round++)); do
      echo "compare.sh: batch $batch, round $round of $turns" >&2
      local extra=(--batch "$batch" --rounds 1)
      [ "$batch" != 64 ] || ours "${extra[@]}" --steps "$our_steps" --evaluate 1 "${configs[@]}"
      [ "$batch" = 64 ] || ours "${extra[@]}" --steps "$our_steps" "${configs[@]}"
      peers "${extra[@]}" --steps "$peer_steps"
    done
  done
  [ -z "$torch" ] || attempt 'PyTorch evaluation' "$torch" "$top/bench/peers/torch_step.py" \
    --device "$device" --mode nchw --threads "$threads" --data "$data" --batch 64 --rounds 0 \
    --steps 1 --evaluate 1 "${variants[@]}"
}

norms() {
  echo 'compare.sh: norms' >&2
  own bench_norm --device "$device" --threads "$threads" --repeats 9 >"$tmp/norms"
  cat "$tmp/norms" >>"$raw"
  [ -z "$torch" ] || attempt "PyTorch norms" "$torch" \
    "$top/bench/peers/torch_norm.py" --device "$device" --threads "$threads" --repeats 9 \
    "$tmp/norms"
}

profile() {
  echo 'compare.sh: profile' >&2
  own bench_profile --data "$data" --steps 20 "${configs[@]}" >>"$raw"
}

scaling() {
  local count width
  echo 'compare.sh: scaling' >&2
  for width in 2 4 8; do
    ours --width "$width" --rounds 3 --steps 3 "${configs[@]}"
    peers --width "$width" --rounds 2 --steps 1 -- nchw
  done
  [ "$device" = cpu ] || return 0
  for ((count = 1; count < threads; count *= 2)); do
    own bench_machine --threads "$count" >>"$raw"
    own bench_step --threads "$count" --data "$data" --rounds 3 --steps 20 \
      "${configs[@]}" >>"$raw"
  done
}

# ---- all ----

own bench_machine --threads "$threads" >>"$raw"
for part in losses steps norms profile scaling; do
  ! wants "$part" || [ "$part$device" = profilecuda ] || "$part"
done
commit=${NORMLAB_COMMIT:-$(git -C "$top" rev-parse --short HEAD 2>/dev/null || echo unknown)}
result=$(python3 "$top/bench/aggregate.py" --device "$device" --threads "$threads" \
  --commit "$commit" --out "$out" "$raw")
python3 "$top/bench/readme_table.py" --print "$result"
if command -v gnuplot >/dev/null; then
  python3 "$top/bench/charts.py" --out "$docs" "$result"
else
  echo 'compare.sh: no gnuplot: no charts' >&2
fi
echo "compare.sh: wrote $result; bench/readme_table.py puts its table into README.md" >&2
