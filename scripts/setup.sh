#!/usr/bin/env bash
# Sourced by run.sh, test.sh and fetch-mnist.sh: installs the Debian packages that are missing,
# configures and builds a preset. Quiet about what is already there. Messages go to standard error.
# shellcheck disable=SC2034 # the lists of packages are for those who source this

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A package and how to see that it is there: a command, a file, or lib:NAME, a library by its
# pkg-config name. g++ is the host compiler of nvcc and brings the C library's headers with it.
build_packages=(cmake:cmake ninja-build:ninja gcc:gcc g++:g++ pkg-config:pkg-config
  libyaml-dev:lib:yaml-0.1 libjansson-dev:lib:jansson zlib1g-dev:lib:zlib libssl-dev:lib:libcrypto
  libxlsxwriter-dev:lib:xlsxwriter)
report_packages=(gnuplot-nox:gnuplot)
test_packages=(libcriterion-dev:lib:criterion clang-format:clang-format curl:curl
  python3:/usr/bin/python3 python3-openpyxl:/usr/lib/python3/dist-packages/openpyxl/__init__.py)

say() { printf 'normlab: %s\n' "$*" >&2; }

# die CODE WHAT [HINT]
die() {
  say "$2"
  [ $# -lt 3 ] || printf '         hint: %s\n' "$3" >&2
  exit "$1"
}

there() {
  case $1 in
  /*) [ -s "$1" ] ;;
  lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
  *) command -v "$1" >/dev/null ;;
  esac
}

# missing_of PACKAGE:PROBE...: the packages whose probe fails, one a line
missing_of() {
  local pair
  for pair in "$@"; do there "${pair#*:}" || printf '%s\n' "${pair%%:*}"; done
}

# need PACKAGE:PROBE...: all of them are there afterwards, or the script has ended with what to do
need() {
  local missing as_root=() log
  mapfile -t missing < <(missing_of "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die 1 "set-up: missing here: ${missing[*]}" \
    "these are Debian 12 names; install what your system calls them, then run this again"
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      die 1 "set-up: missing here: ${missing[*]}" \
        "no root and no sudo here: let an administrator run 'apt-get install ${missing[*]}'"
    fi
    as_root=(sudo)
  fi
  say "set-up: installing ${missing[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get -q update && "${as_root[@]}" apt-get -q install -y \
    --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die 1 "set-up: apt-get could not install ${missing[*]} (all it said: $log)" \
      "is the network there, and are Debian 12's sources in /etc/apt?"
  fi
  rm -f "$log"
  mapfile -t missing < <(missing_of "$@")
  [ ${#missing[@]} -eq 0 ] || die 1 "set-up: installed, and still not found: ${missing[*]}" \
    "is another pkg-config or PATH in front of the system's?"
}

# logged LOG COMMAND...: its output goes to LOG, and the end of it to standard error if it fails
logged() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    die 1 "set-up: failed: $* (all it said: $log)"
  }
}

# build PRESET [TARGET...]: configures and builds build/PRESET; what CMake says in our name is shown
build() {
  local preset=$1 folder=$top/build/$1 target=()
  shift
  [ $# -eq 0 ] || target=(--target "$@")
  mkdir -p "$folder"
  logged "$folder/configure.log" cmake -S "$top" --preset "$preset"
  grep '^-- normlab: ' "$folder/configure.log" | cut -c4- >&2 || true
  if [ -t 2 ]; then
    cmake --build "$folder" "${target[@]}" >&2 || die 1 "set-up: the build in $folder failed"
  else
    logged "$folder/build.log" cmake --build "$folder" "${target[@]}"
  fi
}
