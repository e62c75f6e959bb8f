#!/usr/bin/env bash
# test_torch_networks.sh PROGRAM WRITER [--tap=FILE]: the first 5 steps of 20 random networks
# (write_networks.c) on cpu64 and cpu against PyTorch in float64 (golden/torch_steps.py). Skipped,
# and named so, where PyTorch is not there. Results go to FILE in TAP, like Criterion's.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1 writer=$2
tap=/dev/stdout
[ $# -lt 3 ] || tap=${3#--tap=}
first=1 count=20
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"
results_to "$tap"
echo "1..$count" >&3
missing=''
python=$("$here/support/torch_python.sh") || missing=$python
seeds=$("$writer" "$folder" "$first" "$count") || exit 1

failed=0
number=0
for seed in $seeds; do
  number=$((number + 1)) name="torch_networks::random_$seed"
  if [ -n "$missing" ]; then
    echo "ok $number - $name # SKIP $missing" >&3
  elif "$python" "$here/golden/torch_steps.py" --steps 5 "$folder/data" "$program" \
    "$folder/random-$seed.yaml"; then
    echo "ok $number - $name" >&3
  else
    echo "not ok $number - $name" >&3
    cat "$folder/random-$seed.yaml"
    failed=1
  fi
done
exit $failed
