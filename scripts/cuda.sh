#!/usr/bin/env bash
# Sourced by setup.sh: NVIDIA's wheels of the compiler, cuBLAS and cuDNN, laid into one folder of the
# user's cache without an administrator. Only these packages, by their sums (cuda-wheels.txt).

# shellcheck disable=SC2154 # top is setup.sh's
cuda_wheels=$top/scripts/cuda-wheels.txt

# cuda_folder MAJOR: where the parts for this CUDA lie. The program looks there too (dynlib.c).
cuda_folder() {
  local name=cuda-12
  [ "$1" = 12 ] || name=cuda-13.0
  printf '%s\n' "${XDG_CACHE_HOME:-${HOME-}/.cache}/normlab/$name"
}

# cuda_rows MAJOR PART...: the rows of cuda-wheels.txt for this machine
cuda_rows() {
  awk -v major="$1" -v machine="$(uname -m)" -v parts=" ${*:2} " \
    '$1 == major && $2 == machine && index(parts, " " $3 " ")' "$cuda_wheels"
}

# cuda_lacking MAJOR PART...: the rows of the packages that the folder does not hold
cuda_lacking() {
  local complete
  complete=$(cuda_folder "$1")/complete
  [ -e "$complete" ] || complete=/dev/null
  cuda_rows "$@" | awk -v complete="$complete" \
    'BEGIN {while ((getline line <complete) > 0) have[line]} !($4 in have)'
}

# cuda_megabytes COLUMN: the sum of a column of rows, in MB
cuda_megabytes() { awk -v c="$1" '{sum += $c} END {printf "%d\n", (sum + 999999) / 1000000}'; }

# cuda_pip FOLDER: sets pip to a command that runs it: the user's own, or one in a venv in FOLDER.
cuda_pip() {
  pip=(python3 -m pip)
  "${pip[@]}" --version >/dev/null 2>&1 && return 0
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
  mkdir -p "$part/tmp" "$part/wheels"
  cuda_pip "$part" || return 1
  awk '{print $4 " --hash=sha256:" $7}' <<<"$rows" >"$part/all.txt"
  total=$(wc -l <"$part/all.txt")
  while read -r row; do
    printf '%s\n' "$row" >"$part/one.txt"
    count=$((count + 1))
    say "set-up: $count of $total: ${row%% *}," \
      "$(grep -F " ${row%% *} " <<<"$rows" | cuda_megabytes 5) MB"
    cuda_run_pip "$part/log" download --no-cache-dir "${options[@]}" -d "$part/wheels" \
      -r "$part/one.txt" || return 1
  done <"$part/all.txt"
  say "set-up: unpacking"
  cuda_run_pip "$part/log" install --no-cache-dir --no-index --find-links "$part/wheels" \
    --no-compile "${options[@]}" --target "$part/tree" -r "$part/all.txt" || return 1
  if [ -e "$folder/complete" ]; then
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
  [ -n "${XDG_CACHE_HOME-}${HOME-}" ] || { say "set-up: HOME is not set" && return 1; }
  folder=$(cuda_folder "${wanted[0]}")
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
    room=$(df -Pk "${folder%/*}" | awk 'END {printf "%d\n", $4 * 1024 / 1000000}')
    say "set-up: fetching NVIDIA's wheels for CUDA ${wanted[0]} ($(awk '{print $3}' <<<"$rows" | uniq | paste -sd ' ')):" \
      "$(cuda_megabytes 5 <<<"$rows") MB to fetch, $(cuda_megabytes 6 <<<"$rows") MB on disk"
    if [ "$room" -lt "$size" ]; then
      say "set-up: ${folder%/*}: $size MB are needed while unpacking, $room MB are free"
      exit 1
    fi
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
