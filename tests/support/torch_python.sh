#!/usr/bin/env bash
# Prints the Python interpreter that the comparisons with PyTorch run in: the tests' own environment
# (scripts/setup.sh --venv tests), else the system's. Exit 1, with the reason, where neither will do:
# Debian 13's PyTorch 2.6 computes the gradient of one layer wrongly.
said='no PyTorch (scripts/setup.sh --venv tests)'
for python in "${XDG_CACHE_HOME:-${HOME-}/.cache}/normlab/venv-tests/bin/python3" /usr/bin/python3; do
  version=$("$python" -c 'import numpy, torch; print(torch.__version__)' 2>/dev/null) || continue
  case $version in
  2.6.*) said="PyTorch $version computes a gradient wrongly (scripts/setup.sh --venv tests)" ;;
  *) echo "$python" && exit ;;
  esac
done
echo "$said"
exit 1
