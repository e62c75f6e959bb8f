#!/usr/bin/env bash
# Sourced by setup.sh: environments of our own for what is written in Python, so that nothing goes
# into the user's. One for bench/ and one for tests/, each as its requirements.txt says.

# system_python: the interpreter that the system's packages belong to
system_python() {
  if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi
}

# make_venv DIR: a new and empty environment; a module of it comes from the package manager
make_venv() {
  need venv
  rm -rf "$1"
  mkdir -p "$(dirname "$1")"
  logged "$1.log" "$(system_python)" -m venv "$1"
}

# pip_in DIR ARGUMENT...: pip with its progress on a terminal, else with all it says in DIR.log
pip_in() {
  local folder=$1
  shift
  if [ -t 2 ]; then
    "$folder/bin/python3" -m pip "$@" 2>&1 | tee -a "$folder.log" >&2
  else
    "$folder/bin/python3" -m pip "$@" >>"$folder.log" 2>&1
  fi
}

# install_list DIR LIST: LIST's packages are in the environment DIR afterwards. PyTorch is the CPU
# build where the package index has it; else, on Debian 12, the system's own, to be found beside the
# environment; else the build for CUDA with all its libraries.
install_list() {
  local folder=$1 list=$2 version rest
  version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$list")
  if [ -n "$version" ] && [ "$(uname -m)" = x86_64 ]; then
    say "set-up: fetching PyTorch $version for the CPU (190 MB, 900 MB on disk) and the rest of" \
      "${list#"$top"/}"
    room_for "$folder" 1200
    echo "torch==$version+cpu" >"$folder/cpu.txt"
    ! pip_in "$folder" install -r "$list" -c "$folder/cpu.txt" || return 0
    rest=$folder/without-torch.txt
    grep -v '^torch==' "$list" >"$rest" || true
    say "set-up: the package index has no CPU build of PyTorch $version"
    pip_in "$folder" install -r "$rest" || pip_failed "$folder" "$list"
    if [[ $(apt-cache policy python3-torch 2>/dev/null) == *Candidate:\ 1.13.1* ]]; then
      need torch
      return
    fi
    say "set-up: fetching PyTorch $version with CUDA's libraries (2.8 GB, 5 GB on disk)"
    room_for "$folder" 9000
  else
    say "set-up: fetching what ${list#"$top"/} lists"
  fi
  pip_in "$folder" install -r "$list" || pip_failed "$folder" "$list"
}

pip_failed() {
  tail -n 15 "$1.log" >&2
  die 1 "set-up: pip could not install what $2 lists (all it said: $1.log)" \
    "without a network: put the wheels into a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER"
}

# python_venv bench|tests: makes the environment where it is missing or was made from another list;
# prints its interpreter
python_venv() {
  local list=$top/$1/requirements.txt folder stamp
  [ -s "$list" ] || die 2 "setup.sh: --venv $1: no $list" "scripts/setup.sh --venv bench|tests"
  folder=$(cache_folder)/venv-$1
  mkdir -p "$(dirname "$folder")" || die 6 "set-up: cannot make $(dirname "$folder")"
  exec 8>"$folder.lock"
  flock -n 8 || { say "set-up: another process makes $folder, waiting for it" && flock 8; }
  need venv
  stamp="$(sha256sum <"$list") $("$(system_python)" -VV)"
  if [ "$(cat "$folder/complete" 2>/dev/null)" != "$stamp" ]; then
    make_venv "$folder"
    install_list "$folder" "$list"
    printf '%s\n' "$stamp" >"$folder/complete"
  fi
  exec 8>&-
  printf '%s\n' "$folder/bin/python3"
}
