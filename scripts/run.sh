#!/usr/bin/env bash
# run.sh [options of 'normlab train'] [CONFIG.yaml...]: sets up, builds, gets the data, trains,
# reports. Without a config it trains bn_l1, ln and gn; without --epochs and --resume 20 epochs on
# a GPU and 1 on a machine without one.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"
program=$top/build/release/normlab

usage() {
  cat <<'END'
usage: scripts/run.sh [OPTION...] [CONFIG.yaml...]
Installs what is missing (Debian 12 and 13, Ubuntu 22.04, 24.04 and 26.04, as root or with sudo),
builds, fetches the data set of the configs, trains, reports.
Without a config: bn_l1, ln and gn. Without --epochs: 20 on a GPU, 1 on a machine without one.
With an NVIDIA driver it fetches what is missing of CUDA's compiler, cuBLAS and cuDNN (1 GB at most);
--cuda fetches it anywhere, the environment's NORMLAB_CUDA=OFF leaves it out.
The other options are those of 'normlab train':

END
  if [ -x "$program" ]; then
    "$program" train --help
  else
    echo "  (once it is built: build/release/normlab train --help)"
  fi
}

# What this script has to know of the options; all of them go on to the program as they are. Long
# options may be shortened, as everywhere; the last of a repeated one counts.
configs=() sets=() set='' data='' device=auto epochs='' resume='' previous='' cuda=auto options=()
for arg in "$@"; do
  case $previous in
  --set) sets+=("--set=$arg") ;;
  --da | --dat | --data) data=$arg ;;
  --de*) device=$arg ;;
  esac
  previous=$arg
  if [ "$arg" = --cuda ]; then cuda=always && continue; fi
  options+=("$arg")
  case $arg in
  -h | -\? | --help) usage && exit ;;
  *.yaml) configs+=("$arg") ;;
  --set=*) sets+=("$arg") ;;
  --da=* | --dat=* | --data=*) data=${arg#*=} ;;
  --de*=*) device=${arg#*=} ;;
  --r*) resume=1 ;;
  --e*) epochs=1 ;;
  esac
done
for arg in "${sets[@]}"; do
  case $arg in
  --set=data.set=*) set=${arg#*=*=} ;;
  --set=train.epochs=*) epochs=1 ;;
  esac
done
set -- "${options[@]}"
published=() # trained where no config is named
if [ ${#configs[@]} -eq 0 ]; then
  published=("$top"/configs/{bn_l1,ln,gn}.yaml)
  configs=("${published[@]}")
fi

# there_is_gpu: the program itself can start on one
there_is_gpu() {
  local folder rc=0
  case $device in
  auto) ;;
  cuda*) return 0 ;;
  *) return 1 ;;
  esac
  folder=$(mktemp -d)
  "$program" train "${configs[0]}" "${sets[@]}" --data "$data" --device cuda --epochs 0 \
    --no-autotune --out "$folder/probe" >/dev/null 2>&1 || rc=$?
  rm -rf "$folder"
  return $rc
}

# sets_of_configs: the names of their data sets, one a line
sets_of_configs() {
  local config text
  for config in "${configs[@]}"; do
    text=$("$program" summary "$config") || return
    sed -n 's/^Data: \([^,]*\),.*/\1/p' <<<"$text"
  done | sort -u
}

need build report
# What is trained on the CPU needs nothing of CUDA's.
if [ "$cuda" = always ] || [[ $device != cpu* ]]; then setup_cuda "$cuda"; fi
build release normlab

set=${set:-$(sets_of_configs)}
if [[ $set == *$'\n'* ]]; then exec "$program" train "$@"; fi # which refuses two sets
keep=()
if [ -n "$data" ] || [ -n "${NORMLAB_DATA-}" ]; then
  keep=(--keep) # a folder of the user's own: nothing in it is replaced
  data=${data:-$NORMLAB_DATA}
else
  [ -n "${XDG_CACHE_HOME-}${HOME-}" ] || die 2 "run.sh: HOME is not set" "say --data DIR"
  data=${XDG_CACHE_HOME:-$HOME/.cache}/normlab/$set
fi
if grep -q "^$set " "$top/scripts/data-sets.txt"; then # others are the user's own
  "$top/scripts/fetch-data.sh" "${keep[@]}" "$set" "$data"
fi

defaults=(--data "$data") # in front, so that the user's own options count
if [ -z "$epochs" ] && [ -z "$resume" ]; then # a resumed run has as many as it had
  if there_is_gpu; then
    defaults+=(--epochs 20)
  else
    defaults+=(--epochs 1)
    say "1 epoch, as no GPU is used; for all 20: scripts/run.sh$(printf ' %q' "$@" --epochs 20)"
  fi
fi
exec "$program" train "${defaults[@]}" "${published[@]}" "$@" # exec: signals reach the program
