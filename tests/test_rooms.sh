#!/usr/bin/env bash
# test_rooms.sh BUILD [--tap=FILE]: the folders of src/host use only what src/host/ROOMS allows, by include or by call,
# and no files call each other in a circle; and what checks that sees a wrong include, a wrong call and a circle.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1 tap=/dev/stdout
case ${2-} in --tap=*) tap=${2#--tap=} ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/support/tap.sh
source "$top/tests/support/tap.sh"
results_to "$tap"
number=0 failed=0

check() { # check HOST OBJECTS...
  /usr/bin/python3 "$top/tests/support/rooms.py" "$@"
}

result() { # result NAME RC
  number=$((number + 1))
  if [ "$2" -eq 0 ]; then
    echo "ok $number - rooms::$1" >&3
  else
    echo "not ok $number - rooms::$1" >&3
    failed=1
  fi
}

# A copy of the sources with something wrong in it; the objects stay those of the build.
copy() {
  rm -rf "$work/src"
  mkdir -p "$work/src"
  cp -r "$top/src/host" "$work/src/"
}

# seen NAME WORDS OBJECTS...: the check fails, and says WORDS
seen() {
  local name=$1 words=$2 said rc=0
  shift 2
  said=$(check "$work/src/host" "$@") && rc=1
  [[ $said == *"$words"* ]] || rc=1
  [ "$rc" -eq 0 ] || printf '%s: should say %s, and says\n%s\n' "$name" "$words" "$said"
  result "$name" "$rc"
}

# object FILE TEXT: FILE of src/host with that text, compiled to where the build would have it
object() {
  printf '%s\n' "$2" >"$work/src/host/$1"
  mkdir -p "$work/objects/src/host/$(dirname "$1")"
  cc -c -o "$work/objects/src/host/$1.o" "$work/src/host/$1"
}

check "$top/src/host" "$build/CMakeFiles"
result hold $?

copy
printf '#include "train/trainer.h"\n' >>"$work/src/host/base/file.c"
seen wrong_include "base/file.c:$(wc -l <"$work/src/host/base/file.c"): base may not use train: train/trainer.h" \
  "$build/CMakeFiles"

copy
object base/wrong_call.c 'int nl_study_plan(void); int wrong_call(void); int wrong_call(void) { return nl_study_plan(); }'
seen wrong_call 'base/wrong_call.c: base may not use train: nl_study_plan of src/host/train/study.c' \
  "$build/CMakeFiles" "$work/objects"

copy
rm -rf "$work/objects"
object base/one.c 'int two(void); int one(void); int one(void) { return two(); }'
object base/two.c 'int one(void); int two(void); int two(void) { return one(); }'
seen circle_of_files 'circle: src/host/base/one.c (two) -> src/host/base/two.c (one)' \
  "$build/CMakeFiles" "$work/objects"

copy
mkdir "$work/src/host/attic"
cp "$work/src/host/base/error.c" "$work/src/host/attic/attic.c"
seen folder_without_a_room 'src/host/attic/attic.c: ROOMS does not name its folder' "$build/CMakeFiles"

copy
sed -i 's/^base:.*/base: train/' "$work/src/host/ROOMS"
seen order_of_rooms 'base may not use train, which does not stand above it' "$build/CMakeFiles"

echo "1..$number" >&3
exit $failed
