#!/usr/bin/env bash
# Registers and spills of every kernel, from what ptxas told while building (cmake/ptxas-log.sh).
# Use: test_registers.sh FOLDER. Fails when a kernel spills, uses local memory, or when nothing is there.
set -euo pipefail
folder=$1
logs=$(find "$folder" -name '*.cu.o.ptxas' | sort)
[ -n "$logs" ] || { echo "registers: no output of ptxas under $folder"; exit 1; }
# one line a kernel: file, mangled name, registers, spilled bytes, stack bytes
table=$(for log in $logs; do
  awk -v file="$(basename "$log" .cu.o.ptxas)" '
    /Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2]; target = quoted[4] }
    /bytes stack frame/ { stack = $1; spill = $5 + $9 }
    /Used [0-9]+ registers/ {
      for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
      if (name != "") print file, name, target, registers, spill, stack
      name = ""
    }' "$log"
done)
[ -n "$table" ] || { echo "registers: ptxas named no kernel"; exit 1; }
echo "$table" | awk '
  { kernels++; files[$1] = files[$1] > $4 ? files[$1] : $4; if ($4 > most) most = $4 }
  $5 > 0 || $6 > 0 { bad++; printf "registers: %s: %s spills %d bytes, stack %d bytes (%s)\n", $1, $2, $5, $6, $3 }
  END {
    text = ""
    for (f in files) text = text sprintf(" %s %d,", f, files[f])
    printf "registers: %d kernels, at most %d registers (by file:%s), %d with spills or stack\n",
      kernels, most, substr(text, 1, length(text) - 1), bad
    exit bad > 0
  }'
