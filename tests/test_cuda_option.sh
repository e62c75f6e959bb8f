#!/usr/bin/env bash
# test_cuda_option.sh [--tap=FILE]: -DNORMLAB_CUDA=AUTO|ON|OFF where toolkit or cuDNN are missing (they are
# hidden by giving empty paths): AUTO builds for the CPU and says which is missing, ON stops.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# configure EXPECTED-CODE TEXT OPTION...: 0 or 1, and what it has to say (line breaks do not count)
configure() {
  local code=0
  rm -rf "$tmp/build"
  cmake -G Ninja -S "$source_dir" -B "$tmp/build" -DNORMLAB_TESTS=OFF "${@:3}" >"$tmp/said" 2>&1 || code=1
  [ $code -eq "$1" ] && tr -s '\n ' ' ' <"$tmp/said" | grep -q "$2"
}
have_nvcc() { command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; }

off_is_said() { configure 0 'building for the CPU only' -DNORMLAB_CUDA=OFF; }
auto_without_a_toolkit() { configure 0 'no CUDA toolkit (nvcc) found: building for the CPU only' -DNORMLAB_NVCC=; }
on_without_a_toolkit() { configure 1 'NORMLAB_CUDA=ON: no CUDA toolkit' -DNORMLAB_CUDA=ON -DNORMLAB_NVCC=; }
auto_without_cudnn() { configure 0 'no cuDNN 9 headers (cudnn_graph.h) found: building for the CPU' -DCUDNN_INCLUDE_DIR=; }
on_without_cudnn() { configure 1 'NORMLAB_CUDA=ON: no cuDNN 9 headers' -DNORMLAB_CUDA=ON -DCUDNN_INCLUDE_DIR=; }
another_word_stops() { configure 1 'NORMLAB_CUDA is yes' -DNORMLAB_CUDA=yes; }

cases=(off_is_said auto_without_a_toolkit on_without_a_toolkit auto_without_cudnn on_without_cudnn
  another_word_stops)
failed=0
{
  echo "1..${#cases[@]}"
  for i in "${!cases[@]}"; do
    if [[ ${cases[i]} == *cudnn ]] && ! have_nvcc; then
      echo "ok $((i + 1)) - ${cases[i]} # SKIP no CUDA toolkit"
    elif "${cases[i]}"; then
      echo "ok $((i + 1)) - ${cases[i]}"
    else
      echo "not ok $((i + 1)) - ${cases[i]}" && failed=1
      tail -n 20 "$tmp/said" | sed 's/^/# /'
    fi
  done
} >"$tap"
[ "$failed" -eq 0 ] || { [ "$tap" = /dev/stdout ] || grep -A 20 '^not ok' "$tap"; }
exit "$failed"
