#!/usr/bin/env bash
# test_study_script.sh [--tap=FILE]: what scripts/study.sh keeps of a study, when it starts anew, and
# that README shows the study that is kept. Results go to FILE in TAP.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$top/tests/support/tap.sh"

# tree: a copy of the scripts in $tmp/n with an empty study; sets bits and work
tree() {
  mkdir -p "$tmp/n/tests" "$tmp/n/docs"
  cp -r "$top/scripts" "$tmp/n/"
  cp "$top/tests/test_same_bits.c" "$tmp/n/tests/"
  collect
  bits=$(cat "$tmp/n/docs/study/bits")
  work=$tmp/n/runs/study/$bits
}

collect() { "$tmp/n/scripts/study.sh" --collect || fail "exit $?"; }

# unit STATUS NAME: in the work folder
unit() {
  mkdir -p "$work/main/$2"
  printf '{\n  "status": "%s"\n}' "$1" >"$work/main/$2/run.json"
  echo '{"event":"final"}' >"$work/main/$2/metrics.jsonl"
  printf 'image,label\n0,1\n' >"$work/main/$2/predictions.csv"
  echo weights >"$work/main/$2/last.safetensors"
}

test_what_is_finished_is_kept_without_weights() {
  tree
  unit finished ln/seed-1
  unit interrupted ln/seed-2
  collect
  local kept=$tmp/n/docs/study/main
  [ "$(cd "$kept" && find . -type f | sort | xargs)" = \
    './ln/seed-1/metrics.jsonl ./ln/seed-1/predictions.csv.gz ./ln/seed-1/run.json' ] ||
    fail "$(find "$kept")"
  gunzip -c "$kept/ln/seed-1/predictions.csv.gz" | cmp - "$work/main/ln/seed-1/predictions.csv" ||
    fail 'other predictions'
  unit finished ln/seed-2
  collect
  [ -e "$kept/ln/seed-2/run.json" ] || fail 'what was finished later is not kept'
}

test_other_bits_are_another_study() {
  tree
  unit finished ln/seed-1
  collect
  sed -i 's/"[0-9a-f]\{8\}\([0-9a-f]\{56\}\)"/"00000000\1"/' "$tmp/n/tests/test_same_bits.c"
  collect
  [ "$(cat "$tmp/n/docs/study/bits")" != "$bits" ] || fail 'the same study'
  [ ! -e "$tmp/n/docs/study/main" ] || fail 'units of other bits are kept'
  [ -e "$work/main/ln/seed-1/run.json" ] || fail 'a run is lost'
  [ -e "$tmp/n/docs/study.$bits/main/ln/seed-1/run.json" ] || fail 'what was kept is lost'
}

test_what_is_kept_is_not_trained_again() {
  tree
  unit finished ln/seed-2
  collect
  rm -r "$work"
  # shellcheck source=/dev/null
  said=$(source <(sed -n '/^missing()/,/^}/p' "$tmp/n/scripts/study.sh") &&
    kept=$tmp/n/docs/study seeds=4 && missing configs/ln.yaml main)
  [ "$said" = 1,3,4 ] || fail "missing: $said"
}

test_unknown_parts_are_refused() {
  expect 2 "$top/scripts/study.sh" --part fare
  says 'the parts are main, fair and small_batch'
}

test_readme_shows_the_study() { python3 "$top/scripts/study_table.py" --check; }

run_tests study_script "$tap"
