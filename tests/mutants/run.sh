#!/usr/bin/env bash
# run.sh [PATCH...]: seeded bugs. Applies each patch of this folder (or those named) by itself to a
# copy of the tree, builds the tests that the patch names, and runs them: one must fail. Reports
# caught or MISSED for each; exits 1 if one was missed, did not apply or did not build.
#
# A patch begins with lines that say what it is about, above the diff:
#     what: dx without the variance's term
#     tests: test_norm_batch test_network
#     preset: simt                              (optional; default release)
#     schedule: 2                               (optional; NL_SIMT_SCHEDULE of the tests)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
patches=("$@")
[ $# -gt 0 ] || patches=("$here"/*.patch)

field() { sed -n "s/^$1: //p" "$2" | head -n 1; }

build() { # PRESET TEST...
  local preset=$1 name targets=()
  shift
  for name; do # a test that is a script wants the program
    if [ -e "$copy/tests/$name.sh" ]; then targets+=(normlab); else targets+=("$name"); fi
  done
  [ -e "$copy/build/$preset/build.ninja" ] ||
    (cd "$copy" && cmake --preset "$preset" -DNORMLAB_CUDA=OFF >build.log 2>&1) || return 1
  cmake --build "$copy/build/$preset" --target "${targets[@]}" -- -j "$(nproc)" >"$copy/build.log" 2>&1
}

passes() { # PRESET TEST...
  local preset=$1 name program
  shift
  for name in "$@"; do
    if [ -e "$copy/tests/$name.sh" ]; then
      (cd "$copy" && timeout 900 bash "tests/$name.sh" "$copy/build/$preset/normlab") >"$copy/test.log" 2>&1 || return 1
      continue
    fi
    program=$(find "$copy/build/$preset" -name "$name" -type f -perm -u+x | head -n 1)
    (cd "$copy" && timeout 900 "$program") >"$copy/test.log" 2>&1 || return 1
  done
}

(cd "$top" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T -) |
  tar -x -C "$copy"

# Without a patch everything passes, or a failure would prove nothing.
declare -A wanted
for patch in "${patches[@]}"; do
  preset=$(field preset "$patch")
  wanted[${preset:-release}]+=" $(field tests "$patch")"
done
for preset in "${!wanted[@]}"; do
  mapfile -t tests < <(tr ' ' '\n' <<<"${wanted[$preset]}" | sed '/^$/d' | sort -u)
  build "$preset" "${tests[@]}" || { tail -n 20 "$copy/build.log" && exit 1; }
  passes "$preset" "${tests[@]}" || { tail -n 20 "$copy/test.log" && exit 1; }
done

caught=0 bad=0
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch) preset=$(field preset "$patch")
  preset=${preset:-release}
  read -ra tests < <(field tests "$patch")
  NL_SIMT_SCHEDULE=$(field schedule "$patch") && export NL_SIMT_SCHEDULE
  if ! patch -d "$copy" -p1 -s <"$patch" >"$copy/patch.log" 2>&1; then
    echo "DOES NOT APPLY  $name"
    bad=$((bad + 1))
    continue
  fi
  if ! build "$preset" "${tests[@]}"; then
    echo "DOES NOT BUILD  $name"
    grep -m 3 error "$copy/build.log" || true
    bad=$((bad + 1))
  elif passes "$preset" "${tests[@]}"; then
    echo "MISSED          $name: $(field what "$patch")"
    bad=$((bad + 1))
  else
    echo "caught          $name"
    caught=$((caught + 1))
  fi
  patch -d "$copy" -p1 -s -R <"$patch"
done
echo "$caught caught, $bad missed or broken"
[ "$bad" -eq 0 ]
