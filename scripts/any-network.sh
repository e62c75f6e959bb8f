#!/usr/bin/env bash
# any-network.sh COUNT [SIMT_COUNT] [FIRST]: random networks of the config's language, COUNT trained
# by the CPU's engine and SIMT_COUNT (default: none) by the CUDA engine in the executor, each against
# double precision (tests/test_any_network.c). FIRST is the first seed (default 1). Prints how often
# each kind of network occurred; a network that fails is shrunk and printed as a config. Exit 1 where
# one failed, or where a kind stayed below 50 of 2,000.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
usage() { echo "usage: any-network.sh COUNT [SIMT_COUNT] [FIRST]" >&2 && exit 2; }
[ $# -ge 1 ] && [ $# -le 3 ] || usage
count=$1 simt=${2:-0} first=${3:-1}
for number in "$count" "$simt" "$first"; do
  [[ $number =~ ^[0-9]+$ ]] || usage
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT

build() { # PRESET TARGET
  [ -e "$top/build/$1/build.ninja" ] || (cd "$top" && cmake --preset "$1") >"$log" 2>&1 ||
    { cat "$log" && exit 1; }
  cmake --build "$top/build/$1" --target "$2" >"$log" 2>&1 || { cat "$log" && exit 1; }
}

run() { # PRESET TEST FILTER COUNT
  build "$1" "$2"
  NL_ANY_FIRST=$first NL_ANY_COUNT=$4 \
    "$(find "$top/build/$1/tests" -name "$2" -type f)" --filter "$3" 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ]
}

# Lines `any: BACKEND: TIMES  KIND`: too few for so many networks?
rare() { # COUNT
  local least=$(($1 * 50 / 2000)) line times failed=0
  while read -r line; do
    times=$(awk '{ print $3 }' <<<"$line")
    [ "$times" -ge "$least" ] || { echo "fewer than $least of $1: $line" && failed=1; }
  done < <(grep -E '^any: [a-z0-9]+: +[0-9]+  ' "$log")
  return $failed
}

bad=0
run release test_any_network 'any_network/trains*' "$count" || bad=1
rare "$count" || bad=1
if [ "$simt" -gt 0 ]; then
  run simt test_any_network_cuda 'any_network_cuda/*' "$simt" || bad=1
  rare "$simt" || bad=1
fi
exit $bad
