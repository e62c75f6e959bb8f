#!/usr/bin/env bash
# test_torch_parity.sh PROGRAM [--tap=FILE]: the first 20 steps of the three variants on MNIST
# against PyTorch in float64 (golden/torch_steps.py). Skipped, and named so, where PyTorch or the
# data are not there. Results go to FILE in TAP, like Criterion's.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$1
tap=/dev/stdout
[ $# -lt 2 ] || tap=${2#--tap=}
data=${NORMLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist}
configs=(bn_l1 ln gn)

# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"
results_to "$tap"
echo "1..${#configs[@]}" >&3
missing=''
[ -e "$data/train-images-idx3-ubyte" ] || [ -e "$data/train-images-idx3-ubyte.gz" ] ||
  missing="no MNIST in $data"
python=$("$here/support/torch_python.sh") || missing=$python

number=0 failed=0
for config in "${configs[@]}"; do
  number=$((number + 1)) name="torch_parity::$config"
  if [ -n "$missing" ]; then
    echo "ok $number - $name # SKIP $missing" >&3
  elif "$python" "$here/golden/torch_steps.py" "$data" "$program" \
    "$here/../configs/$config.yaml"; then
    echo "ok $number - $name" >&3
  else
    echo "not ok $number - $name" >&3
    failed=1
  fi
done
exit $failed
