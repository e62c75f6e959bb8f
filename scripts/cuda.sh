#!/usr/bin/env bash
# Sourced by setup.sh: what building for CUDA needs, without an administrator. setup_cuda looks what is
# here, and fetches what is missing of the compiler, cuBLAS and cuDNN: NVIDIA's wheels, by their sums
# (cuda-wheels.txt), laid into one folder of the user's cache.

# shellcheck disable=SC2154 # top is setup.sh's
cuda_wheels=$top/scripts/cuda-wheels.txt
no_driver='no NVIDIA driver here' # as cuda_driver.c says it
no_compiler='libcuda.so.1 is here; it is asked once a C compiler is'

# cuda_folder MAJOR: where the parts for this CUDA lie. The program looks there too (dynlib.c).
cuda_folder() {
  local cache name=cuda-12
  cache=$(cache_folder) || return
  [ "$1" = 12 ] || name=cuda-13.0
  printf '%s/%s\n' "$cache" "$name"
}

# cuda_rows MAJOR PART...: the rows of cuda-wheels.txt for this machine
cuda_rows() {
  awk -v major="$1" -v machine="$(uname -m)" -v parts=" ${*:2} " \
    '$1 == major && $2 == machine && index(parts, " " $3 " ")' "$cuda_wheels"
}

# cuda_complete FOLDER: the list of what it holds; none where that is of other versions than ours
cuda_complete() {
  if [ -e "$1/complete" ] && awk 'NR == FNR {known[$4]} NR > FNR && !($1 in known) {exit 1}' \
    "$cuda_wheels" "$1/complete"; then
    printf '%s\n' "$1/complete"
  else
    echo /dev/null
  fi
}

# cuda_lacking MAJOR PART...: the rows of the packages that the folder does not hold
cuda_lacking() {
  cuda_rows "$@" | awk -v complete="$(cuda_complete "$(cuda_folder "$1")")" \
    'BEGIN {while ((getline line <complete) > 0) have[line]} !($4 in have)'
}

# cuda_megabytes COLUMN: the sum of a column of rows, in MB
cuda_megabytes() { awk -v c="$1" '{sum += $c} END {printf "%d\n", (sum + 999999) / 1000000}'; }

# cuda_pip FOLDER: sets pip to a command that runs it: the user's own, or one in a venv in FOLDER.
cuda_pip() {
  pip=(python3 -m pip)
  python3 -c 'import pip' 2>/dev/null && return 0
  (make_venv "$1/venv") || return 1
  pip=("$1/venv/bin/python3" -m pip)
}

# cuda_run_pip LOG ARGUMENT...: pip with the user's index, proxies and certificates. Its progress is
# shown on a terminal; all that it said is shown where it failed.
cuda_run_pip() {
  local log=$1 run=(env TMPDIR="$part/tmp" PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
    PIP_DISABLE_PIP_VERSION_CHECK=1 "${pip[@]}")
  shift
  if [ -t 2 ]; then
    "${run[@]}" "$@" >&2
  else
    "${run[@]}" "$@" </dev/null >"$log" 2>&1 || {
      tail -n 15 "$log" >&2
      return 1
    }
  fi
}

# cuda_install FOLDER ROWS: fetches wheel by wheel, so that what has arrived is kept if it is cut off,
# lays them out beside FOLDER, and renames: FOLDER is never half of what its file `complete` says.
cuda_install() {
  local folder=$1 rows=$2 part=$1.part pip row count=0 total
  local options=(--no-deps --require-hashes --only-binary :all:)
  rm -rf "$part/tmp" "$part/tree" "$part/old"
  mkdir -p "$part/tmp" "$part/wheels" || return 1
  cuda_pip "$part" || return 1
  awk '{print $4 " --hash=sha256:" $7}' <<<"$rows" >"$part/all.txt"
  total=$(wc -l <"$part/all.txt")
  find "$part/wheels" -name '*.whl' -exec sha256sum {} + >"$part/sums"
  while read -r row; do
    count=$((count + 1))
    # what has arrived earlier
    ! grep -q "^${row##*:} " "$part/sums" || continue
    say "set-up: $count of $total: ${row%% *}," \
      "$(grep -F " ${row%% *} " <<<"$rows" | cuda_megabytes 5) MB"
    printf '%s\n' "$row" >"$part/one.txt"
    cuda_run_pip "$part/log" download --no-cache-dir "${options[@]}" -d "$part/wheels" \
      -r "$part/one.txt" || return 1
  done <"$part/all.txt"
  say "set-up: unpacking"
  cuda_run_pip "$part/log" install --no-cache-dir --no-index --find-links "$part/wheels" \
    --no-compile "${options[@]}" --target "$part/tree" -r "$part/all.txt" || return 1
  if [ "$(cuda_complete "$folder")" != /dev/null ]; then
    cp -aln "$folder/." "$part/tree/" || return 1 # links: the files of before, at no cost
  fi
  # where nvcc.profile and the static runtime's users look
  [ ! -d "$part/tree/nvidia/cu13/lib" ] || ln -sfnT lib "$part/tree/nvidia/cu13/lib64" || return 1
  awk '{print $4}' <<<"$rows" >>"$part/tree/complete" || return 1
  [ ! -e "$folder" ] || mv -T "$folder" "$part/old" || return 1
  mv -T "$part/tree" "$folder" || return 1
  rm -rf "$part"
}

# fetch_cuda [MAJOR PART...]: the parts (default: 13 nvcc cublas cudnn; those for 12 are cublas and
# cudnn) are in the cache afterwards. Fails with a reason, and ends nothing: what a user without
# them gets is for the caller to say.
fetch_cuda() {
  local wanted=("${@:-13}") folder rows size room
  [ ${#wanted[@]} -gt 1 ] || wanted+=(nvcc cublas cudnn)
  folder=$(cuda_folder "${wanted[0]}") || return 1
  if [ -z "$(cuda_rows "${wanted[@]}")" ]; then
    say "set-up: no CUDA parts are known for $(uname -m): install CUDA's toolkit and cuDNN yourself"
    return 1
  fi
  [ -n "$(cuda_lacking "${wanted[@]}")" ] || return 0
  mkdir -p "${folder%/*}" || return 1
  (
    cuda_lock "${folder%/*}"
    rows=$(cuda_lacking "${wanted[@]}")
    [ -n "$rows" ] || exit 0 # another set-up has done it
    size=$(($(cuda_megabytes 5 <<<"$rows") + $(cuda_megabytes 6 <<<"$rows")))
    room=$({ df -Pk "${folder%/*}" | awk 'END {print $4}' &&
      du -sk "$folder.part/wheels" 2>/dev/null || true; } | # what has arrived needs none
      awk '{sum += $1} END {print int(sum * 1024 / 1000000)}')
    say "set-up: fetching NVIDIA's wheels for CUDA ${wanted[0]}" \
      "($(awk '{print $3}' <<<"$rows" | uniq | paste -sd ' ')):" \
      "$(cuda_megabytes 5 <<<"$rows") MB to fetch, $(cuda_megabytes 6 <<<"$rows") MB on disk"
    if [ "$room" -lt "$size" ]; then
      say "set-up: ${folder%/*}: $size MB are needed while unpacking, $room MB are free"
      exit 1
    fi
    [ "$(uname -m)" = x86_64 ] || say "set-up: these parts have not been tried on $(uname -m)"
    say "set-up: NVIDIA's licence holds for them: https://docs.nvidia.com/cuda/eula/"
    cuda_install "$folder" "$rows" || {
      say "set-up: the CUDA parts could not be fetched; what has arrived is kept in $folder.part"
      exit 1
    }
    say "set-up: CUDA's parts are in $folder; to remove them: rm -r $folder"
  )
}

# cuda_lock FOLDER: one set-up at a time, until this (sub)shell ends
cuda_lock() {
  local rc=0
  exec 8<"$1"
  flock -n -E 75 8 || rc=$?
  case $rc in
  0) ;;
  75) say "set-up: another set-up is fetching, waiting for it" && flock 8 ;;
  *) say "set-up: $1: no locks on this file system: do not start two set-ups at once" ;;
  esac
}

# --- What this machine needs ----------------------------------------------------------------------

# driver_library_here: a file that may be NVIDIA's driver is where cuda_driver.c looks
driver_library_here() {
  local folders folder
  IFS=: read -ra folders <<<"${LD_LIBRARY_PATH-}:/usr/lib/wsl/lib"
  for folder in "${folders[@]}"; do [ ! -e "$folder/libcuda.so.1" ] || return 0; done
  # not grep -q, which ends early and so fails the pipe
  { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep '^[[:space:]]*libcuda\.so\.1 ' >/dev/null
}

# ask_driver: sets driver to the CUDA that NVIDIA's driver is for, as 13.0, and devices to how many it
# finds; fails, with the reason in driver_why, where there is none
ask_driver() {
  local folder
  driver='' devices=0 driver_why=$no_driver
  driver_library_here || return 1
  folder=$(mktemp -d)
  if "${CC:-cc}" -o "$folder/ask" "$top/scripts/cuda_driver.c" -ldl 2>"$folder/log"; then
    driver_why=$("$folder/ask" || true)
  else
    driver_why=$no_compiler
  fi
  rm -rf "$folder"
  [[ $driver_why == 'ok '* ]] || return 1
  read -r _ driver devices <<<"$driver_why"
  driver=$((driver / 1000)).$((driver % 1000 / 10))
}

# driver_series CUDA: the oldest series of NVIDIA's drivers for it
driver_series() {
  case $1 in
  12.0) echo 525 ;; 12.1) echo 530 ;; 12.2) echo 535 ;; 12.3) echo 545 ;; 12.4) echo 550 ;;
  12.5) echo 555 ;; 12.6) echo 560 ;; 12.7) echo 565 ;; 12.8) echo 570 ;; 12.9) echo 575 ;;
  13.0) echo 580 ;; 13.1) echo 590 ;; *) echo "of CUDA $1" ;;
  esac
}

# find_cuda: sets cuda_MAJOR and the rest to what cmake/find-cuda.sh says of this machine
find_cuda() {
  local word value
  cuda_nvcc='' cuda_version='' cuda_root='' cuda_cudnn='' cuda_cudnn_version='' cuda_cublas=''
  cuda_libs='' cuda_missing='' cuda_unloaded='' cuda_over=''
  while read -r word value; do
    [ "$word" != over ] || value="${cuda_over:+$cuda_over; }$value"
    printf -v "cuda_$word" %s "$value"
  done < <(bash "$top/cmake/find-cuda.sh")
  cuda_major=${cuda_version%%.*}
  cuda_major=${cuda_major:-13}
}

# plan_cuda auto|always: sets fetch to the parts that set-up fetches here, or why to the reason why
# none. A driver older than CUDA 13 limits what is taken (CUDA_MOST, which CMake heeds too).
plan_cuda() {
  fetch=() why=''
  unset CUDA_MOST
  if ! ask_driver; then
    [ "$1" = always ] || { why=$driver_why && return; }
  elif [ "${driver%%.*}" -lt 13 ]; then
    export CUDA_MOST=${driver%%.*}
  fi
  find_cuda
  if [ -n "${CUDA_MOST-}" ] && [ "$cuda_missing" = nvcc ]; then
    why="the NVIDIA driver here is of the series $(driver_series "$driver") (CUDA $driver), and CUDA 13 \
needs 580 or newer: install a newer driver"
    [ "$CUDA_MOST" -lt 12 ] || why+=", or a CUDA 12 toolkit with its nvcc in PATH"
    [ "$1" = always ] || return 0
    say "set-up: $why" && why='' # what is built here may run elsewhere
    unset CUDA_MOST
    find_cuda
  fi
  read -ra fetch <<<"${cuda_missing/nvcc/nvcc cudnn cublas}"
  # shellcheck disable=SC2206 # a list of words
  [ -z "$driver" ] || fetch+=($cuda_unloaded)
}

# setup_cuda auto|always: what building for CUDA needs is here afterwards, where NVIDIA's driver is
# (always: anywhere); a line tells why not, and then the build is for the CPU. With NORMLAB_CUDA=OFF it
# does nothing.
setup_cuda() {
  if [ "${NORMLAB_CUDA-}" = OFF ]; then
    [ "$1" = auto ] || die 2 "set-up: NORMLAB_CUDA=OFF, and --cuda asks for it" "unset one of them"
    return 0
  fi
  plan_cuda "$1"
  [ -z "$why" ] || [ "$why" = "$no_driver" ] || say "set-up: $why; going on with the CPU"
  [ ${#fetch[@]} -gt 0 ] || return 0
  [ -z "$cuda_over" ] || say "set-up: passed over: $cuda_over"
  fetch_cuda "$cuda_major" "${fetch[@]}" && return
  say "set-up: without a network: put the wheels that $cuda_wheels names into a folder, then run" \
    "this again with PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER"
  [ "$1" = auto ] || die 4 "set-up: --cuda, and CUDA's parts could not be fetched"
  say "set-up: going on with the CPU"
}
