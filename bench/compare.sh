#!/usr/bin/env bash
# compare.sh: measures this machine's training steps and norms beside PyTorch's and JAX's, and
# writes bench/results/<device>.json, its table and its charts.
#
#     --peers             installs the peers of bench/requirements.txt first, in an environment of
#                         their own, with the OpenBLAS whose matrix product is the stated limit
#     --device cpu|cuda   default: cuda where bench_step can use it
#     --threads N         CPU threads of all programs (default: as many as cores); on the CPU one
#                         thread is measured too
#     --turns N           at batch 64 (default 8 on the CPU, 5 on a GPU; others take 3 at most)
#     --batches LIST      default: 16,64,256 on the CPU; 16,64,256,1024,4096 on a GPU
#     --parts LIST        of losses,steps,norms,profile,scaling (default: all)
#     --data DIR          default as normlab's
#     --bin DIR           the programs (default: build/release/bench)
#     --raw FILE          keep the records there, and add to those of an earlier call
#     --out DIR           default: bench/results
#     --docs DIR          where the charts go (default: docs)
#
# Programs take turns, so that a machine that slows down slows all alike. The first losses of all
# are compared before anything is timed: who computes something else is not timed. A peer that is
# not installed, or a mode of one that fails or is refused, is named in table and JSON, and the rest
# goes on.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
peers='' device='' threads=$(nproc) turns='' batches='' parts=losses,steps,norms,profile,scaling
bin=$top/build/release/bench raw='' out=$top/bench/results docs=$top/docs
data=${NORMLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist}
variants=(bn_l1 ln gn)

die() {
  echo "compare.sh: $1" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  [ "$1" != -h ] && [ "$1" != --help ] || { sed -n '2,24s/^# \{0,1\}//p' "$0" && exit; }
  [ "$1" != --peers ] || { peers=1 && shift && continue; }
  [ $# -gt 1 ] || die "$1 needs a value (--help)"
  case $1 in
  --device) device=$2 ;;
  --threads) threads=$2 ;;
  --turns) turns=$2 ;;
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

# The peers' own environment comes before what the user has.
pythons=(python3 /usr/bin/python3)
openblas=''
if [ -n "$peers" ]; then
  python=$("$top/scripts/setup.sh" --venv bench)
  pythons=("$python" "${pythons[@]}")
  openblas=$("$python" -c 'import scipy_openblas32 as o; print(o.get_lib_dir() + "/" +
o.get_library(fullname=True))' 2>/dev/null) || openblas=''
fi

# python_with MODULE: the first interpreter that has it
python_with() {
  local python
  for python in "${pythons[@]}"; do
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
  batches=${batches:-16,64,256,1024,4096} turns=${turns:-5}
else
  batches=${batches:-16,64,256} turns=${turns:-8}
fi

# ---- parts ----

# OpenBLAS with the kernels of this processor, whatever the environment asks of older versions.
machine_on() { # THREADS
  if [ -n "$openblas" ]; then
    (unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE &&
      own bench_machine --threads "$1" --openblas "$openblas")
  else
    own bench_machine --threads "$1"
  fi >>"$raw"
}

machine() {
  local count
  machine_on "$threads"
  for ((count = 1; count < threads; count *= 2)); do machine_on "$count"; done
}

in_turns() { # PART
  TORCHINDUCTOR_CACHE_DIR=$tmp/inductor python3 "$top/bench/turns.py" --parts "$1" \
    --device "$device" --threads "$threads" --turns "$turns" --batches "$batches" --bin "$bin" \
    --data "$data" --torch "$torch" --jax "$jax" "$raw"
}

norms() {
  echo 'compare.sh: norms' >&2
  own bench_norm --device "$device" --threads "$threads" --repeats 9 >"$tmp/norms"
  cat "$tmp/norms" >>"$raw"
  [ -n "$torch" ] || return 0
  "$torch" "$top/bench/peers/torch_norm.py" --device "$device" --threads "$threads" --repeats 9 \
    "$tmp/norms" >"$tmp/lines" 2>"$tmp/errors" && cat "$tmp/lines" >>"$raw" && return
  echo "compare.sh: PyTorch's norms: failed: $(tail -n 1 "$tmp/errors")" >&2
}

profile() {
  echo 'compare.sh: profile' >&2
  own bench_profile --data "$data" --steps 20 "${configs[@]}" >>"$raw"
}

# ---- all ----

machine
! wants losses || in_turns losses
! wants steps || in_turns steps
! wants norms || norms
! wants profile || [ "$device" = cuda ] || profile
! wants scaling || in_turns scaling
machine # again: a limit is the best that was reached
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
