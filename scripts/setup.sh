#!/usr/bin/env bash
# setup.sh --check: what is here, what run.sh would install and fetch, and how large; changes nothing.
# setup.sh --venv bench|tests: makes the Python environment that bench/ or tests/ need, as their
# requirements.txt say, in the cache folder; prints its interpreter.
#
# Sourced by the other scripts: installs the system's packages that are missing, configures and
# builds a preset. Quiet about what is already there. Messages go to standard error.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
systems='Debian 12 and 13, Ubuntu 22.04, 24.04 and 26.04'

# What the system's package manager brings: the group that needs it; how to see that it is there (a
# command, a file, lib:NAME, a library by its pkg-config name, or py:MODULE of the system's Python);
# its packages, joined by commas, for apt, pacman, dnf and zypper. A dot: as in the column before; a dash:
# not packaged there. Only apt's names are tried. g++ is the host compiler of nvcc and brings the C
# library's headers. Debian 13's xlsxwriter.pc asks for minizip, which its package does not bring.
parts() {
  cat <<'TABLE'
build cmake              cmake . . .
build ninja              ninja-build ninja ninja-build ninja
build gcc                gcc . . .
build g++                g++ gcc gcc-c++ .
build pkg-config         pkg-config pkgconf pkgconf-pkg-config .
build lib:yaml-0.1       libyaml-dev libyaml libyaml-devel .
build lib:jansson        libjansson-dev jansson jansson-devel libjansson-devel
build lib:zlib           zlib1g-dev zlib zlib-devel .
build lib:libcrypto      libssl-dev openssl openssl-devel libopenssl-devel
build lib:xlsxwriter     libxlsxwriter-dev,libminizip-dev libxlsxwriter libxlsxwriter-devel .
report gnuplot           gnuplot-nox gnuplot . .
fetch curl               curl . . .
unzip unzip              unzip . . .
fetch /etc/ssl/certs/ca-*.crt  ca-certificates . . .
test lib:criterion       libcriterion-dev - criterion-devel -
test /usr/bin/python3    python3 python python3 .
test py:openpyxl         python3-openpyxl python-openpyxl python3-openpyxl .
venv py:ensurepip        python3-venv python python3 .
torch py:torch           python3-torch,python3-numpy - - -
clang clang              clang . . .
fuzzer /usr/lib/clang/*/lib/*/libclang_rt.fuzzer*  libclang-rt-dev compiler-rt . -
office soffice           libreoffice-calc-nogui libreoffice-still libreoffice-calc .
browser chromium         chromium . . .
cluster /usr/sbin/slurmctld  slurm-wlm - - -
cluster /usr/sbin/munged  munge - - -
cluster mpirun           openmpi-bin - - -
cluster parallel         parallel . . .
lint valgrind            valgrind . . .
lint cppcheck            cppcheck . . .
lint clang-tidy          clang-tidy clang clang-tools-extra clang-tools
lint gcovr               gcovr . . .
TABLE
}

# shellcheck source=scripts/cuda.sh
source "$top/scripts/cuda.sh"

say() { printf 'normlab: %s\n' "$*" >&2; }

# die CODE WHAT [HINT]
die() {
  say "$2"
  [ $# -lt 3 ] || printf '         hint: %s\n' "$3" >&2
  exit "$1"
}

# shellcheck source=scripts/python.sh
source "$top/scripts/python.sh"

# cache_folder: where all that we fetch lies
cache_folder() {
  [ -n "${XDG_CACHE_HOME-}${HOME-}" ] || die 2 "set-up: HOME is not set" "set XDG_CACHE_HOME or HOME"
  printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/normlab"
}

# room_for DIR MB: so much is free on DIR's disk, or the script ends
room_for() {
  local free
  free=$(df -Pk "$1" | awk 'NR == 2 {print int($4 * 1024 / 1000000)}')
  [ "$free" -ge "$2" ] || die 6 "set-up: $1: $free MB free, $2 MB needed" "make room there"
}

there() {
  case $1 in
  /*) compgen -G "$1" >/dev/null ;;
  lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
  py:*) "$(system_python)" -c "import ${1#py:}" >/dev/null 2>&1 ;;
  *) command -v "$1" >/dev/null ;;
  esac
}

# version_14 TOOL: LLVM's tools differ between versions; the project's are those of 14. Its name here, or 1.
version_14() {
  local tool
  for tool in "$1" "$1-14" "$(cache_folder)/venv-tests/bin/$1"; do
    if [[ $("$tool" --version 2>/dev/null) =~ version\ 14\. ]]; then printf '%s\n' "$tool" && return; fi
  done
  return 1
}

# manager: the package manager of this system; apt-get's names where we know none
manager() {
  local name
  for name in apt-get pacman dnf zypper; do
    ! command -v "$name" >/dev/null || { printf '%s\n' "$name" && return; }
  done
}

# missing_of GROUP...: what is not there, one a line: its probe, then its packages as this system
# calls them
missing_of() {
  local group probe names manager index=0 column i
  manager=$(manager)
  case $manager in
  pacman) index=1 ;;
  dnf) index=2 ;;
  zypper) index=3 ;;
  esac
  while read -r group probe names; do
    [[ " $* " == *" $group "* ]] || continue
    ! there "$probe" || continue
    read -ra column <<<"$names"
    i=$index
    while [ "${column[i]}" = . ]; do i=$((i - 1)); done
    [ "${column[i]}" != - ] || column[i]="(${column[0]}: not packaged here)"
    printf '%s %s\n' "$probe" "${column[i]//,/ }"
  done < <(parts)
}

# why_missing MISSING: what pkg-config itself says of the libraries that it does not accept
why_missing() {
  local probe names
  while read -r probe names; do
    [[ $probe != lib:* ]] || pkg-config --print-errors --exists "${probe#lib:}" 2>&1 |
      sed 's/^/         pkg-config: /' >&2
  done <<<"$1"
}

# need GROUP...: all of them are there afterwards, or the script has ended with what to do
need() {
  local missing names as_root=() log manager
  missing=$(missing_of "$@")
  [ -n "$missing" ] || return 0
  mapfile -t names < <(cut -d' ' -f2- <<<"$missing" | tr ' ' '\n' | awk '!seen[$0]++')
  manager=$(manager)
  if [ "$manager" != apt-get ]; then
    why_missing "$missing"
    die 1 "set-up: missing here: ${names[*]}" "supported are $systems; these are the names of \
${manager:-Debian}${manager:+, not tried}: install them, then run this again"
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      die 1 "set-up: missing here: ${names[*]}" \
        "no root and no sudo here: let an administrator run 'apt-get install ${names[*]}'"
    fi
    as_root=(sudo)
  fi
  say "set-up: installing ${names[*]}"
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get -q update && "${as_root[@]}" apt-get -q install -y \
    --no-install-recommends "${names[@]}"; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die 1 "set-up: apt-get could not install ${names[*]} (all it said: $log)" \
      "without a network: install these packages from files ('apt-get install ./*.deb'), then run \
this again; else look at the sources in /etc/apt (supported are $systems)"
  fi
  rm -f "$log"
  missing=$(missing_of "$@")
  [ -z "$missing" ] && return
  why_missing "$missing"
  die 1 "set-up: installed, and still not found: $(cut -d' ' -f1 <<<"$missing" | tr '\n' ' ')" \
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
  local preset=$1 folder=$top/build/$1 target=() option=()
  shift
  [ $# -eq 0 ] || target=(--target "$@")
  # The other presets leave CUDA out.
  [[ $preset != release && $preset != clang ]] || option=("-DNORMLAB_CUDA=${NORMLAB_CUDA:-AUTO}")
  mkdir -p "$folder"
  logged "$folder/configure.log" cmake -S "$top" --preset "$preset" "${option[@]}"
  grep '^-- normlab: ' "$folder/configure.log" | cut -c4- >&2 || true
  if [ -t 2 ]; then
    cmake --build "$folder" "${target[@]}" >&2 || die 1 "set-up: the build in $folder failed"
  else
    logged "$folder/build.log" cmake --build "$folder" "${target[@]}"
  fi
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0
set -euo pipefail
case ${1-} in
--check)
  # shellcheck source=scripts/check.sh
  source "$top/scripts/check.sh"
  check
  ;;
--venv) python_venv "${2-}" ;;
-h | --help) sed -n '2,4s/^# //p' "$0" ;;
*) die 2 "setup.sh: unknown argument '${1-}'" "scripts/setup.sh --check, or --venv bench|tests" ;;
esac
