#!/usr/bin/env bash
# test_cuda_option.sh [--tap=FILE]: which compiler, cuBLAS and cuDNN CMake takes, and -DNORMLAB_CUDA=AUTO|ON|OFF
# where one of them is missing: AUTO builds for the CPU and says which, ON stops. Most compilers here are
# stand-ins, so that each piece can be taken away on any machine.
# shellcheck disable=SC2317 # the cases are called by name
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$source_dir/tests/support/tap.sh"
results_to "$tap"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
real=$(bash "$source_dir/cmake/find-cuda.sh")
unset CUDACXX CUDA_HOME CUDA_PATH CUDAARCHS CUDAHOSTCXX CUDNN_ROOT NORMLAB_NVCC CUDA_MOST VIRTUAL_ENV
export CUDA_PLACES=

# ---- stand-ins ----

# nvcc FOLDER [VERSION [WHEN-COMPILING]]: FOLDER/bin/nvcc, by default one that works; it says that its
# toolkit is FOLDER/kit, as a script in PATH does
nvcc() {
  mkdir -p "$1/bin" "$1/kit/bin"
  cat >"$1/bin/nvcc" <<END
#!/bin/sh
while [ \$# -gt 0 ]; do
  case \$1 in
  --version) echo 'Cuda compilation tools, release ${2:-13.0}, V${2:-13.0}.88'; exit ;;
  --dryrun) echo '#\$ TOP=$1/kit/bin/..' >&2; exit ;;
  -o) out=\$2 ;;
  esac
  shift
done
${3:-echo program >\$out}
END
  chmod +x "$1/bin/nvcc"
}

# cudnn FOLDER [MAJOR], cublas FOLDER [MAJOR]: their headers and libraries, as far as they are looked at
cudnn() {
  mkdir -p "$1/include" "$1/lib"
  touch "$1/include/cudnn_graph.h" "$1/lib/libcudnn.so.9"
  printf '#define CUDNN_%s\n' "MAJOR ${2:-9}" 'MINOR 7' 'PATCHLEVEL 1' >"$1/include/cudnn_version.h"
}
cublas() {
  mkdir -p "$1/include" "$1/lib"
  touch "$1/include/cublas_v2.h" "$1/lib/libcublas.so.${2:-13}"
  echo "#define CUBLAS_VER_MAJOR ${2:-13}" >"$1/include/cublas_api.h"
}

# ---- CMake ----

# configure EXPECTED-CODE TEXT OPTION...: 0 or 1, and what it has to say (line breaks do not count)
configure() {
  local code=0
  rm -rf "$tmp/build"
  XDG_CACHE_HOME=${cache:-$tmp/cache} cmake -G Ninja -S "$source_dir" -B "$tmp/build" \
    -DNORMLAB_TESTS=OFF "${@:3}" >"$tmp/said" 2>&1 || code=1
  [ "$code" -eq "$1" ] && tr -s '\n ' ' ' <"$tmp/said" | grep -qF "$2"
}

# missing TEXT OPTION...: AUTO names it and builds for the CPU, ON stops and names it
missing() {
  local text=$1
  shift
  configure 0 "$text" "$@" && grep -q "normlab: no .*: building for the CPU only" "$tmp/said" || return
  [ ! -e "$tmp/build/CMakeFiles/$(cmake_version)/CMakeCUDACompiler.cmake" ] || return
  configure 1 "$text" -DNORMLAB_CUDA=ON "$@" && grep -q 'NORMLAB_CUDA=ON: no ' "$tmp/said"
}
cmake_version() { cmake --version | sed -n 's/^cmake version //p'; }

off_is_said() { configure 0 'building for the CPU only' -DNORMLAB_CUDA=OFF; }
auto_without_a_toolkit() { configure 0 'no CUDA toolkit (nvcc) found: building for the CPU only' -DNORMLAB_NVCC=; }
on_without_a_toolkit() { configure 1 'NORMLAB_CUDA=ON: no CUDA toolkit' -DNORMLAB_CUDA=ON -DNORMLAB_NVCC=; }
auto_without_cudnn() {
  nvcc "$tmp/a"
  configure 0 'no cuDNN 9 headers (cudnn_graph.h) found: building for the CPU' \
    -DNORMLAB_NVCC="$tmp/a/bin/nvcc" -DCUDNN_INCLUDE_DIR=
}
on_without_cudnn() {
  nvcc "$tmp/a"
  configure 1 'NORMLAB_CUDA=ON: no cuDNN 9 headers' -DNORMLAB_CUDA=ON \
    -DNORMLAB_NVCC="$tmp/a/bin/nvcc" -DCUDNN_INCLUDE_DIR=
}
another_word_stops() { configure 1 'NORMLAB_CUDA is yes' -DNORMLAB_CUDA=yes; }
without_cublas() {
  nvcc "$tmp/a"
  cudnn "$tmp/dnn"
  missing 'no cuBLAS headers (cublas_v2.h) found' -DNORMLAB_NVCC="$tmp/a/bin/nvcc" \
    -DCUDNN_ROOT="$tmp/dnn" -DCUBLAS_INCLUDE_DIR=
}
with_an_old_cudnn() {
  nvcc "$tmp/a"
  cudnn "$tmp/dnn" 8
  cublas "$tmp/a/kit"
  missing 'no cuDNN 9 headers (cudnn_graph.h) found' -DNORMLAB_NVCC="$tmp/a/bin/nvcc" \
    -DCUDNN_INCLUDE_DIR="$tmp/dnn/include"
}
with_a_cublas_of_another_cuda() {
  nvcc "$tmp/a" 12.4
  cudnn "$tmp/dnn"
  cublas "$tmp/a/kit"
  missing 'no cuBLAS headers (cublas_v2.h) found' -DNORMLAB_NVCC="$tmp/a/bin/nvcc" \
    -DCUDNN_ROOT="$tmp/dnn" -DCUBLAS_INCLUDE_DIR="$tmp/a/kit/include"
}
# cannot TEXT VERSION WHEN-COMPILING
cannot() {
  nvcc "$tmp/a" "$2" "$3"
  missing "$1" -DNORMLAB_NVCC="$tmp/a/bin/nvcc"
}
compiler_that_cannot_link() {
  cannot 'cannot link: cannot find -lcudadevrt' 13.0 \
    'echo "/usr/bin/ld: cannot find -lcudadevrt: No such file or directory" >&2; exit 1'
}
compiler_without_cccl() {
  cannot 'no CCCL headers (nv/target)' 13.0 \
    'echo "cuda_fp16.h:132:10: fatal error: nv/target: No such file or directory" >&2; exit 1'
}
compiler_that_refuses_gcc() {
  cannot 'unsupported GNU version!' 13.0 'echo "error: #error -- unsupported GNU version!" >&2; exit 1'
}
compiler_that_writes_nothing() { cannot 'cannot compile: it makes nothing' 13.0 'exit 0'; }
compiler_too_old() { cannot 'CUDA 11.8.88 is too old: 12 or newer is needed' 11.8 ''; }
compiler_without_gxx() {
  # as g++ is asked for where it is not; the machine's own stays in PATH for CMake
  nvcc "$tmp/a" 13.0 'echo "sh: 1: g++: not found" >&2; exit 1'
  missing "no C++ compiler here ($tmp/g++)" -DNORMLAB_NVCC="$tmp/a/bin/nvcc" \
    -DCMAKE_CUDA_HOST_COMPILER="$tmp/g++"
}
compiler_for_a_newer_driver() {
  nvcc "$tmp/a"
  CUDA_MOST=12 missing 'CUDA 13.0.88 needs a newer driver: the one here is for CUDA 12' \
    -DNORMLAB_NVCC="$tmp/a/bin/nvcc"
}

# ---- which one is taken ----

# finds LINE [VARIABLE=VALUE...]: what find-cuda.sh says has this line
finds() {
  env XDG_CACHE_HOME="$tmp/cache" PATH="$tmp/none:/usr/bin:/bin" "${@:2}" \
    bash "$source_dir/cmake/find-cuda.sh" >"$tmp/said" 2>&1
  grep -qxF "$1" "$tmp/said"
}
first_of_many() {
  local place settings=()
  for place in cc given cxx home path path_dir places; do nvcc "$tmp/$place"; done
  nvcc "$tmp/cache/normlab/cuda-13.0/nvidia/cu13"
  echo nvidia-cuda-nvcc==13.0.88 >"$tmp/cache/normlab/cuda-13.0/complete"
  finds "nvcc $tmp/cache/normlab/cuda-13.0/nvidia/cu13/bin/nvcc" || return
  # from the last to be asked to the first
  for place in "CUDA_PLACES=$tmp/places" "PATH=$tmp/path_dir/bin:/usr/bin:/bin" "CUDA_PATH=$tmp/path" \
    "CUDA_HOME=$tmp/home" "CUDACXX=$tmp/cxx/bin/nvcc" "NORMLAB_NVCC=$tmp/given/bin/nvcc" \
    "CMAKE_CUDA_COMPILER=$tmp/cc/bin/nvcc"; do
    settings+=("$place")
    place=${place#*=} place=${place%%:*} place=${place%/nvcc}
    finds "nvcc ${place%/bin}/bin/nvcc" "${settings[@]}" || return
  done
  rm "$tmp/cache/normlab/cuda-13.0/complete" # a half fetch
  ! finds "nvcc $tmp/cache/normlab/cuda-13.0/nvidia/cu13/bin/nvcc"
}
broken_ones_are_passed_over() {
  nvcc "$tmp/a" 13.0 'echo "ld: cannot find -lcudart_static" >&2; exit 1'
  nvcc "$tmp/b" 10.2
  nvcc "$tmp/c"
  finds "nvcc $tmp/c/bin/nvcc" CUDACXX="$tmp/nonesuch" CUDA_HOME="$tmp/a" PATH="$tmp/b/bin:/usr/bin:/bin" \
    CUDA_PLACES="$tmp/c" || return
  [ "$(grep -c '^over ' "$tmp/said")" -eq 3 ] &&
    grep -qxF "over $tmp/nonesuch: no such program" "$tmp/said" &&
    grep -qxF "over $tmp/a/bin/nvcc: cannot link: cannot find -lcudart_static" "$tmp/said"
}
toolkit_of_a_script() {
  nvcc "$tmp/a"
  cublas "$tmp/a/kit/targets/machine" # as CUDA 13 lays its headers
  cudnn "$tmp/dnn"
  finds "root $tmp/a/kit" PATH="$tmp/a/bin:/usr/bin:/bin" CUDNN_ROOT="$tmp/dnn" || return
  grep -qxF "cublas $tmp/a/kit/targets/machine/include" "$tmp/said" &&
    grep -qxF 'missing ' "$tmp/said" && grep -qxF 'cudnn_version 9.7.1' "$tmp/said"
}
fetched_parts_of_the_right_cuda() {
  local folder=$tmp/cache/normlab
  nvcc "$tmp/a" 12.4
  cudnn "$folder/cuda-13.0/nvidia/cudnn"
  cublas "$folder/cuda-13.0/nvidia/cu13"
  cudnn "$folder/cuda-12/nvidia/cudnn"
  cublas "$folder/cuda-12/nvidia/cublas" 12
  touch "$folder/cuda-13.0/complete" "$folder/cuda-12/complete"
  local hide=(PATH="$tmp/a/bin:/usr/bin:/bin" HOME="$tmp")
  finds "cublas $folder/cuda-12/nvidia/cublas/include" "${hide[@]}" || return
  rm "$folder/cuda-12/complete" # begun, not finished
  ! finds "cublas $folder/cuda-12/nvidia/cublas/include" "${hide[@]}"
}
headers_without_a_library() {
  nvcc "$tmp/a"
  cudnn "$tmp/dnn"
  cublas "$tmp/a/kit"
  rm "$tmp/dnn/lib/libcudnn.so.9"
  ! /sbin/ldconfig -p | grep libcudnn.so.9 >/dev/null || return 0 # the loader has another
  finds 'unloaded cudnn' PATH="$tmp/a/bin:/usr/bin:/bin" CUDNN_ROOT="$tmp/dnn"
}

# ---- with a real toolkit ----

architectures_from_the_environment() {
  cache=${XDG_CACHE_HOME:-$HOME/.cache} CUDA_PLACES=/usr/local/cuda CUDAARCHS=80-real \
    configure 0 'architectures 80-real' -DNORMLAB_CUDA=ON
}
another_compiler_than_before() {
  local found
  found=$(sed -n 's/^nvcc //p' <<<"$real")
  mkdir -p "$tmp/first"
  printf '#!/bin/sh\nexec %q "$@"\n' "$found" >"$tmp/first/nvcc"
  chmod +x "$tmp/first/nvcc"
  export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
  CUDA_PLACES=/usr/local/cuda cache=$XDG_CACHE_HOME CUDACXX=$tmp/first/nvcc \
    configure 0 'architectures 90-real;75-virtual' -DNORMLAB_CUDA=ON || return
  rm "$tmp/first/nvcc"
  CUDA_PLACES=/usr/local/cuda cmake -S "$source_dir" -B "$tmp/build" >"$tmp/said" 2>&1 &&
    grep -q 'architectures 90-real;75-virtual' "$tmp/said"
}

cases=(off_is_said auto_without_a_toolkit on_without_a_toolkit auto_without_cudnn on_without_cudnn
  another_word_stops without_cublas with_an_old_cudnn with_a_cublas_of_another_cuda
  compiler_that_cannot_link compiler_without_cccl compiler_that_refuses_gcc compiler_that_writes_nothing
  compiler_too_old compiler_without_gxx compiler_for_a_newer_driver first_of_many
  broken_ones_are_passed_over toolkit_of_a_script fetched_parts_of_the_right_cuda
  headers_without_a_library architectures_from_the_environment another_compiler_than_before)
real_cases=' architectures_from_the_environment another_compiler_than_before '
failed=0
{
  echo "1..${#cases[@]}"
  for i in "${!cases[@]}"; do
    rm -rf "${tmp:?}"/*
    if [[ $real_cases == *" ${cases[i]} "* ]] && ! grep -qx 'missing ' <<<"$real"; then
      echo "ok $((i + 1)) - ${cases[i]} # SKIP no CUDA toolkit with cuBLAS and cuDNN"
    elif "${cases[i]}"; then
      echo "ok $((i + 1)) - ${cases[i]}"
    else
      echo "not ok $((i + 1)) - ${cases[i]}" && failed=1
      tail -n 20 "$tmp/said" | sed 's/^/# /'
    fi
  done
} >&3
[ "$failed" -eq 0 ] || { [ "$tap" = /dev/stdout ] || grep -A 20 '^not ok' "$tap"; }
exit "$failed"
