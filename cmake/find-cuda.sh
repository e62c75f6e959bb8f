#!/usr/bin/env bash
# find-cuda.sh: which CUDA toolkit, cuBLAS and cuDNN this machine builds with. NormlabCuda.cmake and
# scripts/cuda.sh both ask here, so that they know the same. Prints lines of a word and its value:
#   over NVCC: REASON    a compiler that was passed over
#   nvcc, root, version  the first that compiles and links; root: its toolkit's folder
#   cudnn, cublas        the folder of their headers
#   cudnn_version        as 9.20.0
#   libs                 the folders of their libraries, split at ':'; none that the loader knows
#   missing PART...      of nvcc, cudnn, cublas: what building needs and is not here
#   unloaded PART...     of cudnn, cublas: headers are here, and no library for the program
# Environment: NVCC_GIVEN: this one and no other. Else CMAKE_CUDA_COMPILER, NORMLAB_NVCC, CUDACXX,
# CUDA_HOME, CUDA_PATH, PATH, the folders of CUDA_PLACES, and what cuda.sh fetched, in this order.
# NVCC_TRUSTED (any: each) is taken untried. CUDA_MOST: the newest CUDA that the driver is for.
# CUDNN_INCLUDE_DIR, CUBLAS_INCLUDE_DIR: their headers are there or nowhere; CUDNN_ROOT comes first.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME-}/.cache}/normlab
places=${CUDA_PLACES-/usr/local/cuda}
oldest=12
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# --- The compiler ---------------------------------------------------------------------------------

# why LOG: what a compiler said, in one line
why() {
  local host=${CUDAHOSTCXX:-g++}
  if ! command -v "$host" >/dev/null; then
    echo "no C++ compiler here ($host), which nvcc needs"
  elif grep -q 'nv/target' "$1"; then
    echo 'no CCCL headers (nv/target), which cuda_fp16.h needs'
  elif grep -q 'cannot find -l' "$1"; then
    echo "cannot link: $(grep -m 1 -o 'cannot find -l[^ :]*' "$1")"
  else
    echo "cannot compile: $(grep -m 1 -iE 'error|fatal|not found|unsupported' "$1" ||
      tail -n 1 "$1" | grep . || echo 'it makes nothing')"
  fi
}

# compiles NVCC: it compiles a kernel and links a program; what it said is in a file
compiles() {
  local options=(-std=c++17)
  [ -n "${CUDAARCHS-}" ] || options+=(-arch=sm_90)
  [ -z "${CUDAHOSTCXX-}" ] || options+=(-ccbin "$CUDAHOSTCXX")
  rm -f "$tmp/trial"
  "$1" "${options[@]}" -o "$tmp/trial" "$here/trial.cu" >"$tmp/said" 2>&1 && [ -s "$tmp/trial" ]
}

# reason NVCC: why it is not taken; nothing where it is
reason() {
  local major=${version%%.*}
  if ! command -v "$1" >/dev/null; then
    echo 'no such program'
  elif [ -n "$version" ] && [ "$major" -lt "$oldest" ]; then
    echo "CUDA $version is too old: $oldest or newer is needed"
  elif [ -n "$version" ] && [ "$major" -gt "${CUDA_MOST:-$major}" ]; then
    echo "CUDA $version needs a newer driver: the one here is for CUDA $CUDA_MOST"
  elif [[ ${NVCC_TRUSTED-} != any && ${NVCC_TRUSTED-} != "$1" ]] && ! compiles "$1"; then
    why "$tmp/said"
  elif [ -z "$version" ]; then
    echo 'does not tell its version'
  fi
}

# candidates: where an nvcc may be, one a line
candidates() {
  local place
  printf '%s\n' "${CMAKE_CUDA_COMPILER-}" "${NORMLAB_NVCC-}" "${CUDACXX-}" \
    "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" "$(command -v nvcc)"
  for place in $places; do [ ! -x "$place/bin/nvcc" ] || echo "$place/bin/nvcc"; done
  if grep -qs '^nvidia-cuda-nvcc==' "$cache/cuda-13.0/complete"; then
    echo "$cache/cuda-13.0/nvidia/cu13/bin/nvcc"
  fi
}

# find_nvcc: sets nvcc, version and root; nvcc is empty where none works
find_nvcc() {
  local all said top
  mapfile -t all < <(if [ -n "${NVCC_GIVEN+set}" ]; then echo "$NVCC_GIVEN"; else candidates; fi)
  for nvcc in "${all[@]}"; do
    [ -n "$nvcc" ] || continue
    version=$("$nvcc" --version 2>/dev/null | sed -n 's/^.*release .*, V\([0-9.]*\).*/\1/p')
    said=$(reason "$nvcc")
    if [ -z "$said" ]; then
      # It may be a script anywhere: it says itself where its toolkit is.
      top=$("$nvcc" --dryrun "$here/trial.cu" 2>&1 | sed -n 's/^#\$ TOP=//p')
      root=$(readlink -f "${top:-$(dirname "$(readlink -f "$nvcc")")/..}")
      return
    fi
    echo "over $nvcc: $said"
  done
  nvcc=''
}

# --- cuDNN and cuBLAS -----------------------------------------------------------------------------

# headers PART FOLDER: the part's headers of the right version are in this folder
headers() {
  case $1 in
  cudnn) [ -e "$2/cudnn_graph.h" ] && grep -qs '^#define CUDNN_MAJOR 9$' "$2/cudnn_version.h" ;;
  cublas) [ -e "$2/cublas_v2.h" ] && grep -qs "^#define CUBLAS_VER_MAJOR $cuda\$" "$2/cublas_api.h" ;;
  esac
}

# wheels: the cuDNN in Python's packages, if it is for this CUDA
wheels() {
  compgen -G "${VIRTUAL_ENV:-/nowhere}/lib/python3*/site-packages/nvidia_cudnn_cu$cuda-*.dist-info"
  compgen -G "${HOME-}/.local/lib/python3*/site-packages/nvidia_cudnn_cu$cuda-*.dist-info"
  compgen -G "/usr/local/lib/python3*/*-packages/nvidia_cudnn_cu$cuda-*.dist-info"
  compgen -G "/usr/lib/python3*/*-packages/nvidia_cudnn_cu$cuda-*.dist-info"
}

# look PART LIBRARY GIVEN ROOT...: says where the part is beneath the roots, and adds to libs,
# missing or unloaded. GIVEN: any, or the only folder that counts.
look() {
  local part=$1 library=$2 given=$3 root folder found=''
  shift 3
  for root in "$@"; do
    for folder in "$root/include" "$root"/targets/*/include "$root/include/$triple"; do
      [ "$given" = any ] || folder=$given
      if [ -z "$found" ] && headers "$part" "$folder"; then found=$folder; fi
    done
  done
  [ -n "$found" ] || { missing+=("$part") && return; }
  echo "$part $found"
  [ "$part" != cudnn ] || awk '$2 ~ /^CUDNN_(MAJOR|MINOR|PATCHLEVEL)$/ && NF == 3 {v = v "." $3}
    END {print "cudnn_version " substr(v, 2)}' "$found/cudnn_version.h"
  # not grep -q, which ends early and so fails the pipe
  ! { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep "^[[:space:]]*$library " >/dev/null || return
  for root in "${found%/include*}" "$@"; do
    for folder in "$root/lib" "$root/lib64" "$root"/targets/*/lib "$root/lib/$triple"; do
      [ ! -e "$folder/$library" ] || { libs+=("$folder") && return; }
    done
  done
  unloaded+=("$part")
}

find_nvcc
[ -n "$nvcc" ] || { echo 'missing nvcc' && exit; }
printf 'nvcc %s\nroot %s\nversion %s\n' "$nvcc" "$root" "$version"
cuda=${version%%.*}
triple=$(gcc -print-multiarch 2>/dev/null || true)
if [ "$cuda" = 12 ]; then fetched=$cache/cuda-12; else fetched=$cache/cuda-13.0; fi
[ -e "$fetched/complete" ] || fetched=/nowhere
mapfile -t python < <(wheels | sed 's|/nvidia_cudnn_cu[^/]*$|/nvidia/cudnn|')
libs=() missing=() unloaded=()
# shellcheck disable=SC2086 # places: one word a folder
look cudnn libcudnn.so.9 "${CUDNN_INCLUDE_DIR-any}" ${CUDNN_ROOT:+"$CUDNN_ROOT"} "$root" /usr \
  $places "${python[@]}" "$fetched/nvidia/cudnn"
# shellcheck disable=SC2086
look cublas "libcublas.so.$cuda" "${CUBLAS_INCLUDE_DIR-any}" "$root" /usr $places \
  "$fetched/nvidia/cu13" "$fetched/nvidia/cublas"
printf 'libs %s\n' "$(IFS=: && echo "${libs[*]}")"
printf 'missing %s\nunloaded %s\n' "${missing[*]}" "${unloaded[*]}"
