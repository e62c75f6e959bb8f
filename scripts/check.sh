#!/usr/bin/env bash
# Sourced by setup.sh for its --check: what is here and what scripts/run.sh would install and fetch. It
# changes nothing.

row() { printf '%-9s %s\n' "$1" "$2"; }

# package_size PACKAGE...: what the package manager would fetch, as far as it knows without a change
package_size() {
  local said
  [ "$(manager)" = apt-get ] || { echo "size not known" && return; }
  said=$(LC_ALL=C apt-get -q -o Debug::NoLocking=1 --assume-no install --no-install-recommends "$@" \
    2>/dev/null | sed -n 's/^Need to get \(.*\) of archives.*/\1 to fetch/p;
      s/^After this operation, \(.*\) of additional disk space.*/and \1 on disk/p' | paste -sd ' ')
  echo "${said:-size not known before apt-get update}"
}

# mnist_is_here FOLDER: as far as names tell; fetch-data.sh looks at the sums
mnist_is_here() {
  local name
  while read -r name; do
    [ -s "$1/$name" ] || [ -s "$1/$name.gz" ] || return 1
  done < <(awk '$1 == "mnist" && $4 !~ /\.gz$/ {print $4}' "$top/scripts/data-sets.txt")
}

check_driver() {
  if [ -n "$driver" ]; then
    row driver "for CUDA $driver (series $(driver_series "$driver")), devices: $devices"
  else
    row driver "$driver_why"
  fi
  row nvcc "${cuda_nvcc:-none}${cuda_version:+, CUDA $cuda_version}"
  [ -z "$cuda_over" ] || row '' "passed over: $cuda_over"
  row cuDNN "${cuda_cudnn:-none}${cuda_cudnn_version:+, $cuda_cudnn_version}"
  row cuBLAS "${cuda_cublas:-none}"
}

# cuda_size MAJOR PART...: what set-up would fetch of them
cuda_size() {
  local rows
  rows=$(cuda_lacking "$@")
  printf '%s of CUDA %s: %s MB to fetch, %s MB on disk, into %s\n' "${*:2}" "$1" \
    "$(cuda_megabytes 5 <<<"$rows")" "$(cuda_megabytes 6 <<<"$rows")" "$(cuda_folder "$1")"
}

check_cuda() {
  command -v g++ >/dev/null || export NVCC_TRUSTED=any # it cannot be tried before run.sh brings g++
  plan_cuda auto
  [ "$why" != "$no_compiler" ] || plan_cuda always # run.sh installs one first
  [ -n "${cuda_missing+set}" ] || find_cuda
  check_driver
  if [ -n "$why" ]; then
    row CUDA "run.sh fetches nothing: $why"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$cuda_missing" ] || row '' \
      "run.sh --cuda fetches $(cuda_size "$cuda_major" ${cuda_missing/nvcc/nvcc cudnn cublas})"
  elif [ "${NORMLAB_CUDA-}" = OFF ]; then
    row CUDA 'run.sh fetches nothing: NORMLAB_CUDA=OFF'
    fetch=()
  elif [ ${#fetch[@]} -eq 0 ]; then
    row CUDA 'all here'
  else
    row CUDA "run.sh fetches $(cuda_size "$cuda_major" "${fetch[@]}")"
  fi
}

# check_groups NAME SCRIPT GROUP...: what the script would install of these
check_groups() {
  local name=$1 script=$2 missing names
  shift 2
  missing=$(missing_of "$@")
  mapfile -t names < <(cut -d' ' -f2- <<<"$missing" | tr ' ' '\n' | awk 'NF && !seen[$0]++')
  if [ ${#names[@]} -eq 0 ]; then
    row "$name" 'all here'
  else
    row "$name" "$script installs ${names[*]}: $(package_size "${names[@]}")"
  fi
}

check_packages() {
  local groups=(build report)
  mnist_is_here "$1" || command -v npm >/dev/null || groups+=(fetch)
  [ ${#fetch[@]} -eq 0 ] || python3 -c 'import pip' 2>/dev/null || groups+=(venv)
  check_groups packages run.sh "${groups[@]}"
  check_groups tests 'test.sh --all' build report fetch test venv clang fuzzer office browser cluster lint
}

check() {
  local data=${NORMLAB_DATA:-$(cache_folder)/mnist}
  row normlab "$top, $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), $(uname -m)"
  check_cuda
  check_packages "$data"
  if mnist_is_here "$data"; then
    row MNIST "$data"
  else
    row MNIST "run.sh fetches 11 MB, 55 MB on disk, into $data"
  fi
}
