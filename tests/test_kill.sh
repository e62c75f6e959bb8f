#!/usr/bin/env bash
# test_kill.sh PROGRAM [--tap=FILE]: twenty kills at random moments, each resumed to the same bits.
set -euo pipefail
tap=${2---tap=/dev/stdout}
rc=0
"$(dirname "$0")/../scripts/kill.sh" 20 "$1" || rc=$?
result=ok
[ "$rc" -eq 0 ] || result='not ok'
printf '1..1\n%s - kill::resumed_to_the_same_bits\n' "$result" >"${tap#--tap=}"
exit "$rc"
