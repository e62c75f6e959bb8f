#!/usr/bin/env bash
# test_statistics.sh PROGRAM [--tap=FILE]: the figures of a report against scipy's
# (golden/scipy_report.py). Skipped, and named so, where scipy is not there. Results go to FILE in
# TAP, like Criterion's.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for python in "${XDG_CACHE_HOME:-${HOME-}/.cache}/normlab/venv-tests/bin/python3" /usr/bin/python3; do
  "$python" -c 'import numpy, scipy.stats' 2>/dev/null && exec "$python" "$here/golden/scipy_report.py" "$@"
done
skip='ok 1 - statistics::scipy # SKIP no scipy (scripts/setup.sh --venv tests)'
if [ $# -lt 2 ]; then printf '1..1\n%s\n' "$skip"; else printf '1..1\n%s\n' "$skip" >"${2#--tap=}"; fi
