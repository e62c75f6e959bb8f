#!/usr/bin/env bash
# test_cuda_libraries.sh PROGRAM [--tap=FILE]: a program built with CUDA names the library that it misses,
# with stand-ins for cuDNN and cuBLAS in front of this machine's own.
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
program=$(readlink -f "$1")
tap=/dev/stdout
[ $# -lt 2 ] || tap=${2#--tap=}
# shellcheck source=tests/support/tap.sh
source "$source_dir/tests/support/tap.sh"

# library NAME FUNCTION=VALUE...: compiled into $tmp/lib, each function answers with its value
library() {
  local name=$1 pair
  shift
  mkdir -p "$tmp/lib"
  for pair in "$@"; do printf 'unsigned long %s(void) { return %s; }\n' "${pair%=*}" "${pair#*=}"; done |
    cc -shared -fPIC -x c -o "$tmp/lib/$name" -
}

# cudnn CUDART [LEAVE-OUT]: a cuDNN 9.20.0 made for this CUDA, without one function
cudnn() {
  local name functions=(cudnnGetVersion=92000 "cudnnGetCudartVersion=$1")
  for name in GetErrorString GetLastErrorString Create Destroy SetStream BackendCreateDescriptor \
    BackendDestroyDescriptor BackendSetAttribute BackendGetAttribute BackendFinalize BackendExecute; do
    [ "$name" = "${2-}" ] || functions+=("cudnn$name=0")
  done
  library libcudnn.so.9 "${functions[@]}"
}

about() { NORMLAB_LIBRARY_PATH=$tmp/lib expect 0 "$program" --version --verbose; }

test_libraries_that_were_taken() {
  cudnn 99000
  library libcublasLt.so.99
  about
  says "cuDNN 9.20.0, $tmp/lib/libcudnn.so.9"
  says "cuBLASLt $tmp/lib/libcublasLt.so.99"
}

# cuDNN ends the process when it finds none
test_cudnn_without_cublaslt() {
  cudnn 99000
  about
  says 'cuDNN none: libcublasLt.so.99: not found on this machine'
  echo broken >"$tmp/lib/libcublasLt.so.99"
  about
  says "libcublasLt.so.99: cannot be opened: $tmp/lib/libcublasLt.so.99: "
}

test_cudnn_that_lacks_a_function() {
  cudnn 13000 BackendExecute
  about
  says "cuDNN none: $tmp/lib/libcudnn.so.9: has no cudnnBackendExecute"
}

test_cublas_that_lacks_a_function() {
  library libcublas.so.13 cublasDestroy_v2=0
  about
  says "cuBLAS none: $tmp/lib/libcublas.so.13: has no cublasCreate_v2"
}

run_tests cuda_libraries "$tap"
