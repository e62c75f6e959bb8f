#!/usr/bin/env bash
# test_scripts.sh [--tap=FILE]: tests of scripts/, with small files in MNIST's place, a folder as
# the mirror, and stand-ins for cmake, ctest and the program.
# shellcheck disable=SC2016 # what the stand-ins shall expand stands in single quotes
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$source_dir/tests/support/tap.sh"
# shellcheck source=tests/support/mirror.sh
source "$source_dir/tests/support/mirror.sh"
names=(train-images-idx3-ubyte train-labels-idx1-ubyte
  t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)

# ---- what each test starts with: a copy of scripts/ and a mirror in a folder of its own ----

stand_in() {
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"
  chmod +x "$1"
}

prepare() {
  local name
  repo=$tmp/repo fetch=$tmp/repo/scripts/fetch-mnist.sh
  mkdir -p "$repo/build/release" "$repo/tests" "$tmp/mirror" "$tmp/bin"
  cp -r "$source_dir/scripts" "$source_dir/configs" "$repo/"
  for name in "${names[@]}"; do seq 1 20000 | sed "s/^/$name /" >"$tmp/mirror/$name"; done
  gzip -nk "$tmp/mirror"/*
  for name in "${names[@]}"; do published mnist "$name" "$name.gz"; done >"$repo/scripts/data-sets.txt"
  stand_in "$tmp/bin/cmake" 'exit 0'
  stand_in "$repo/build/release/normlab" '[ "$1" != --version ] || { echo "cpu ${BUILT-cuda}"; exit; }
    if [ "$1" = summary ]; then
      set=$(sed -n "s/^  set: \([a-z0-9-]*\).*/\1/p" "$2" 2>/dev/null)
      echo "Data: ${set:-mnist}, images of"; exit "${SUMMARY:-0}"
    fi
    printf "%s\n" "$@" >"$ARGS.all"
    case "$*" in *"--device cuda --epochs 0"*) exit "${GPU:-4}" ;; esac
    printf "%s\n" "$@" >"$ARGS"; exit "${CODE:-0}"'
  export ARGS=$tmp/args NORMLAB_MIRRORS=file://$tmp/mirror HOME=$tmp/home
  unset NORMLAB_DATA XDG_CACHE_HOME
}

all_right() {
  local name
  for name in "${names[@]}"; do cmp "$1/$name" "$tmp/mirror/$name"; done
  [ "$(find "$1" -mindepth 1 | wc -l)" -eq 4 ] || fail "something else was left: $(ls -A "$1")"
}

# passed_on ARGUMENT...: these stand side by side among the program's arguments
passed_on() {
  local all
  all=" $(tr '\n' ' ' <"$ARGS")"
  [[ $all == *" $* "* ]] || fail "not passed on: '$*' in '$all'"
}

run() { PATH=$tmp/bin:$PATH "$repo/scripts/run.sh" "$@"; }

# ---- fetch-mnist.sh ----

test_fetch_into_empty_folder() {
  expect 0 "$fetch" "$tmp/deep/data"
  all_right "$tmp/deep/data"
}

test_fetch_keeps_what_is_right() {
  expect 0 "$fetch" "$tmp/data"
  touch -d 2001-01-01 "$tmp/data"/*
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" "$tmp/data"
  [ -z "$said" ] || fail "not quiet: $said"
  rm "$tmp/data/${names[1]}"
  expect 0 "$fetch" "$tmp/data"
  all_right "$tmp/data"
  [ "$(find "$tmp/data" -name '*ubyte' ! -newermt 2002-01-01 | wc -l)" -eq 3 ] ||
    fail "fetched again what was right"
}

test_fetch_accepts_gz() {
  mkdir "$tmp/data"
  cp "$tmp/mirror"/*.gz "$tmp/data"
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" "$tmp/data"
}

test_fetch_replaces_corrupt() {
  expect 0 "$fetch" "$tmp/data"
  truncate -s -1 "$tmp/data/${names[0]}"
  printf x | dd of="$tmp/data/${names[3]}" bs=1 seek=100 conv=notrunc status=none
  expect 0 "$fetch" "$tmp/data"
  all_right "$tmp/data"
}

test_fetch_goes_on_after_half() {
  mkdir -p "$tmp/data/.part"
  head -c 1000 "$tmp/mirror/${names[0]}.gz" >"$tmp/data/.part/${names[0]}.gz"
  head -c 1000 /dev/zero >"$tmp/data/.part/${names[1]}.gz"
  head -c 999999 /dev/zero >"$tmp/data/.part/${names[2]}.gz"
  cp "$tmp/mirror/${names[3]}.gz" "$tmp/data/.part/"
  expect 0 "$fetch" "$tmp/data"
  all_right "$tmp/data"
}

test_fetch_keeps_half_of_a_cut_download() {
  mkdir -p "$tmp/data/.part"
  head -c 1000 "$tmp/mirror/${names[0]}.gz" >"$tmp/data/.part/${names[0]}.gz"
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 3 "$fetch" "$tmp/data"
  [ "$(stat -c %s "$tmp/data/.part/${names[0]}.gz")" -eq 1000 ] || fail "the half is gone"
}

test_fetch_second_mirror() {
  cp -r "$tmp/mirror" "$tmp/bad"
  gzip -c /dev/null >"$tmp/bad/${names[2]}.gz"
  NORMLAB_MIRRORS="http://127.0.0.1:9 file://$tmp/bad file://$tmp/mirror" \
    expect 0 "$fetch" "$tmp/data"
  says "file://$tmp/bad: ${names[2]}.gz is not the file it should be"
  all_right "$tmp/data"
}

test_fetch_nothing_to_reach() {
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 3 "$fetch" "$tmp/data"
  says "$tmp/data"
  says "still missing: ${names[*]}"
  says "hint: "
}

# Without curl and without a way to install it, the files still have names and a place.
test_fetch_without_curl_names_the_files() {
  stand_in "$tmp/bin/apt-get" 'echo "no route to host"; exit 100'
  stand_in "$tmp/bin/id" 'echo 0'
  sed -i 's/^fetch curl .*/fetch nonesuch curl . . ./' "$repo/scripts/setup.sh"
  stand_in "$tmp/bin/curl" 'exit 6'
  PATH=$tmp/bin:$PATH expect 3 "$fetch" "$tmp/data"
  says "could not install curl"
  says "still missing: ${names[*]}"
  says "into $tmp/data"
}

test_fetch_two_at_once() {
  mkdir "$tmp/data"
  flock "$tmp/data" bash -c "touch '$tmp/held'; sleep 1" &
  while [ ! -e "$tmp/held" ]; do sleep 0.02; done
  expect 0 "$fetch" "$tmp/data"
  says "another process is fetching"
  all_right "$tmp/data"
}

test_fetch_keep_leaves_another_set_alone() {
  mkdir "$tmp/data"
  for name in "${names[@]}"; do echo other >"$tmp/data/$name"; done
  expect 0 "$fetch" --keep "$tmp/data"
  says "not MNIST"
  rm "$tmp/data/${names[0]}"
  expect 3 "$fetch" --keep "$tmp/data"
  says "incomplete"
  [ "$(cat "$tmp/data/${names[1]}")" = other ] || fail "replaced a file of the user"
  [ ! -e "$tmp/data/${names[0]}" ] || fail "mixed two sets"
}

test_fetch_cannot_write() {
  touch "$tmp/file"
  expect 6 "$fetch" "$tmp/file/data"
  says "cannot make this folder"
  expect 2 "$fetch"
  expect 2 "$fetch" --what "$tmp/data"
}

# ---- run.sh ----

test_run_defaults() {
  expect 0 run
  says "1 epoch"
  says "scripts/run.sh --epochs 20"
  passed_on train --data "$HOME/.cache/normlab/mnist" --epochs 1 \
    "$repo"/configs/{bn_l1,ln,gn}.yaml
  all_right "$HOME/.cache/normlab/mnist"
}

# The set is the configs', or --set's; the folder is named after it.
test_run_fetches_what_the_configs_name() {
  local name cifar=(data_batch_{1..5}.bin test_batch.bin) made=$tmp/mirror/cifar-10-batches-bin
  mkdir "$made"
  for name in "${cifar[@]}"; do echo "$name" >"$made/$name"; done
  tar -czf "$tmp/mirror/cifar-10-binary.tar.gz" -C "$tmp/mirror" cifar-10-batches-bin
  published cifar10 cifar-10-binary.tar.gz >>"$repo/scripts/data-sets.txt"
  expect 0 run "$repo"/configs/cifar10_{bn,ln}.yaml
  passed_on --data "$HOME/.cache/normlab/cifar10"
  for name in "${cifar[@]}"; do cmp "$made/$name" "$HOME/.cache/normlab/cifar10/$name"; done
  GPU=0 expect 0 run "$repo/configs/cifar10_gn.yaml" # tried with that config, on that data
  grep -q cifar10 "$ARGS.all" || fail "another config was tried: $(cat "$ARGS.all")"
  expect 0 run "$repo/configs/gn.yaml" --set model.norm=none --set data.set=cifar10
  passed_on --data "$HOME/.cache/normlab/cifar10"
  [ ! -e "$HOME/.cache/normlab/mnist" ] || fail "MNIST as well"
  expect 0 run mine.yaml --set=data.set=mine --data "$tmp/mine"
  [ ! -e "$tmp/mine" ] || fail "fetched something for a set of the user's own"
}

test_run_leaves_refusals_to_the_program() {
  CODE=2 expect 2 run "$repo"/configs/{gn,cifar10_gn}.yaml
  grep -q -- --data "$ARGS" && fail "two sets in one folder: $(cat "$ARGS")"
  SUMMARY=2 expect 2 run wrong.yaml
  [ ! -e "$HOME/.cache" ] || fail "fetched data for a wrong config"
}

test_run_on_gpu() {
  GPU=0 expect 0 run
  passed_on --epochs 20
  [[ $said != *"all 20"* ]] || fail "speaks of one epoch: $said"
  GPU=0 expect 0 run --device cpu
  passed_on --epochs 1
  expect 0 run --device=cuda:1
  passed_on --epochs 20
}

test_run_passes_options_on() {
  local option
  for option in "--epochs 3" --epochs=0 "--epoch 3"; do
    # shellcheck disable=SC2086 # an option and its value
    expect 0 run $option --out "a folder"
    [ "$(grep -c -- '^--epoch' "$ARGS")" -eq 1 ] || fail "two numbers of epochs: $(cat "$ARGS")"
    grep -qx "a folder" "$ARGS" || fail "an argument fell apart"
  done
  expect 0 run my.yaml --set train.lr=1
  grep -q bn_l1 "$ARGS" && fail "the default configs beside the user's"
  passed_on my.yaml --set train.lr=1
  expect 0 run --set train.epochs=2
  grep -q -- --epochs "$ARGS" && fail "a second number of epochs: $(cat "$ARGS")"
  expect 0 run --resume --out old # as many as the runs had
  grep -q -- --epochs "$ARGS" && fail "a number of epochs of its own: $(cat "$ARGS")"
  true
}

test_run_data() {
  expect 0 run --data "$tmp/one"
  all_right "$tmp/one"
  expect 0 run --data=unused --data="$tmp/two"
  all_right "$tmp/two"
  [ ! -e unused ] || fail "the first of a repeated option counts"
  passed_on --data "$tmp/two"
  NORMLAB_DATA=$tmp/three expect 0 run
  all_right "$tmp/three"
  XDG_CACHE_HOME=$tmp/cache expect 0 run
  all_right "$tmp/cache/normlab/mnist"
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 3 run --data "$tmp/four"
}

test_run_codes_and_help() {
  CODE=5 expect 5 run
  expect 0 run --help
  says "usage: scripts/run.sh"
  passed_on train --help
  rm "$repo/build/release/normlab"
  expect 0 run -h
  says "usage: scripts/run.sh"
}

# ---- setup.sh and test.sh ----

# parts_are ROW...: these are all that a system may lack
parts_are() {
  sed -i "/^parts() {/,/^}/d" "$repo/scripts/setup.sh"
  setup="source '$repo/scripts/setup.sh'; parts() { printf '%s\\n'$(printf " '%s'" "$@"); }"
}

test_setup_without_root() {
  stand_in "$tmp/bin/id" 'echo 1000'
  stand_in "$tmp/bin/sudo" 'exit 1'
  stand_in "$tmp/bin/apt-get" 'exit 1'
  parts_are 'g bash a . . .' 'g nonesuch b . . .' 'h bash a . . .'
  expect 0 bash -c "$setup; need h"
  PATH=$tmp/bin:$PATH expect 1 bash -c "$setup; need g h </dev/null"
  says "apt-get install b'"
}

test_setup_on_other_systems() {
  parts_are 'g nonesuch a,b c . d' 'g lib:nonesuch e - f .'
  expect 1 bash -c "$setup; manager() { :; }; need g"
  says "missing here: a b e"
  says "supported are Debian 12 and 13, Ubuntu 22.04, 24.04 and 26.04"
  says "the names of Debian:"
  says "pkg-config: Package nonesuch was not found"
  expect 1 bash -c "$setup; manager() { echo pacman; }; need g"
  says "missing here: c (e: not packaged here)"
  says "the names of pacman, not tried:"
  expect 1 bash -c "$setup; manager() { echo dnf; }; need g"
  says "missing here: c f"
  expect 1 bash -c "$setup; manager() { echo zypper; }; need g"
  says "missing here: d f"
}

# What apt-get brought may still not be what pkg-config accepts: its own reason is shown.
test_setup_shows_what_pkg_config_says() {
  stand_in "$tmp/bin/id" 'echo 0'
  stand_in "$tmp/bin/apt-get" 'exit 0'
  mkdir "$tmp/pc"
  printf 'Name: half\nDescription: x\nVersion: 1\nRequires: its-other-half\n' >"$tmp/pc/half.pc"
  export PKG_CONFIG_PATH=$tmp/pc
  parts_are 'g lib:half half-dev . . .'
  PATH=$tmp/bin:$PATH expect 1 bash -c "$setup; need g"
  says "still not found: lib:half"
  says "pkg-config: Package 'its-other-half', required by 'half', not found"
}

test_setup_of_every_system_is_whole() {
  local setup="source '$repo/scripts/setup.sh'" manager
  for manager in apt-get pacman dnf zypper; do
    expect 0 bash -c "$setup; there() { false; }; manager() { echo $manager; }
      missing_of build report fetch unzip test venv torch clang fuzzer office browser cluster lint"
    [ "$(wc -l <<<"$said")" -eq "$(bash -c "$setup; parts" | wc -l)" ] || fail "rows: $said"
    [[ $said != *' . '* && $said != *' .'$'\n'* && $said != *,* ]] || fail "not names: $said"
  done
}

# wheel NAME VERSION: an empty Python package of that name in the only folder that pip looks at
wheel() {
  mkdir -p "$tmp/wheels"
  /usr/bin/python3 - "$tmp/wheels" "$1" "$2" <<'END'
import sys, zipfile
folder, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info/"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as z:
    z.writestr(f"{name}.py", f"__version__ = '{version}'")
    z.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(info + "RECORD", "")
END
  export PIP_NO_INDEX=1 PIP_FIND_LINKS=$tmp/wheels PIP_CONFIG_FILE=/dev/null PIP_CONSTRAINT=
}

# venv CODE: what is said stands in $said, the interpreter's path in $tmp/python
venv() {
  PATH=$tmp/bin:$PATH expect "$1" bash -c "'$repo/scripts/setup.sh' --venv tests >'$tmp/python'"
}

has() { [ "$("$(cat "$tmp/python")" -c "import $1; print($1.__version__)" 2>&1)" = "$2" ]; }

prepare_venv() {
  stand_in "$tmp/bin/df" 'echo; echo "disk 9 9 ${FREE_KB:-99999999} 9% /"'
  stand_in "$tmp/bin/uname" 'echo "${MACHINE:-x86_64}"'
  stand_in "$tmp/bin/apt-cache" 'echo "  Candidate: ${CANDIDATE-}"'
  wheel small 1
  wheel torch 9.9.9
  printf '# the list\ntorch==9.9.9\nsmall==1\n' >"$repo/tests/requirements.txt"
}

test_venv_takes_the_cpu_build() {
  prepare_venv
  wheel torch 9.9.9+cpu
  venv 0
  says "PyTorch 9.9.9 for the CPU"
  has torch 9.9.9+cpu || fail "another build of PyTorch"
  has small 1 || fail "without the rest of the list"
  venv 0
  [ -z "$said" ] || fail "not quiet about what is there: $said"
  # Another list, or half an environment: begun again.
  rm "$HOME/.cache/normlab/venv-tests/complete"
  wheel small 2
  sed -i s/small==1/small==2/ "$repo/tests/requirements.txt"
  venv 0
  has small 2 || fail "still the old list"
}

test_venv_without_a_cpu_build() {
  prepare_venv
  CANDIDATE=2.6.0+dfsg-7 FREE_KB=8000000 venv 6
  says "8192 MB free, 9000 MB needed"
  CANDIDATE=2.6.0+dfsg-7 venv 0
  says "with CUDA's libraries (2.8 GB, 5 GB on disk)"
  has torch 9.9.9 || fail "no PyTorch"
  MACHINE=aarch64 venv 0 # there the index has one build
}

test_venv_with_the_systems_torch() {
  prepare_venv
  stand_in "$tmp/bin/apt-get" 'echo "$*" >>"$(dirname "$0")/asked"; [ "$2" = update ]'
  stand_in "$tmp/bin/id" 'echo 0'
  # As on a Debian 12 that has it, and on one that has not.
  sed -i 's/^torch py:torch/torch py:sys/' "$repo/scripts/setup.sh"
  CANDIDATE=1.13.1+dfsg-4 venv 0
  has small 1 || fail "without the rest of the list"
  ! has torch 9.9.9 || fail "CUDA's build all the same"
  rm "$HOME/.cache/normlab/venv-tests/complete"
  sed -i 's/^torch py:sys/torch py:nonesuch/' "$repo/scripts/setup.sh"
  CANDIDATE=1.13.1+dfsg-4 venv 1
  grep -q "install .* python3-torch python3-numpy" "$tmp/bin/asked"
}

test_venv_of_nothing_to_fetch() {
  prepare_venv
  rm "$tmp/wheels"/small*
  venv 1
  says "pip could not install what $repo/tests/requirements.txt lists"
  says "PIP_FIND_LINKS=FOLDER"
  expect 2 "$repo/scripts/setup.sh" --venv nonesuch
  expect 2 "$repo/scripts/setup.sh" --what
}

test_failed_build_is_told() {
  stand_in "$tmp/bin/cmake" 'echo "what the compiler said"; exit 1'
  expect 1 run
  says "what the compiler said"
}

# check_tests PASSED FAILED SKIPPED FILE...: test.sh over programs that left these TAP files
check_tests() {
  local totals="$1 passed, $2 failed, $3 skipped"
  shift 3
  mkdir -p "$tmp/taps"
  stand_in "$tmp/bin/clang-format" 'echo "version ${FORMAT:-14.0.6}"'
  ln -sf clang-format "$tmp/bin/clang-format-14"
  stand_in "$tmp/bin/clang" 'exit 0'
  stand_in "$tmp/bin/ctest" 'if [ "$3" = -N ]; then
      for p in $PROGRAMS; do echo "  Test  #1: $p"; done; exit; fi
    mkdir -p "$2/Testing/Temporary" "$2/tests"; touch "$2/Testing/Temporary/LastTest.log"
    cp "$TAPS"/*.tap "$2/tests/"; cp "$TAPS"/*.log "$2/Testing/Temporary/"
    [ -z "${REPORT-}" ] || echo leak >"$(sed "s/:.*//" <<<"${ASAN_OPTIONS#log_path=}").1"
    exit "$CODE"'
  export TAPS=$tmp/taps
  said=$(PATH=$tmp/bin:$PATH "$repo/scripts/test.sh" 2>&1)
  rc=$?
  [ "$(tail -n 1 <<<"$said")" = "$totals" ] || fail "not '$totals': $said"
}

test_totals() {
  set +e
  mkdir "$tmp/taps"
  printf 'ok - a::x  (0.00s)\nok - a::y  # SKIP no room\n' >"$tmp/taps/test_a.tap"
  # three suites, clang and the format
  CODE=0 PROGRAMS="test_a test_b" check_tests 8 0 3 || return 1
  [ "$rc" -eq 0 ] || fail "exit $rc" || return 1
  says "skipped: test_a: a::y  # SKIP no room" || return 1
  CODE=0 REPORT=1 PROGRAMS="test_a test_b" check_tests 8 3 3 || return 1
  [ "$rc" -eq 1 ] || fail "green with a sanitizer's report" || return 1
  echo '1:test_a' >"$tmp/taps/LastTestsFailed.log"
  CODE=8 PROGRAMS="test_a" check_tests 5 3 3 || return 1
  [ "$rc" -eq 1 ] || fail "exit $rc" || return 1
  echo 'not ok - a::z' >>"$tmp/taps/test_a.tap"
  CODE=8 PROGRAMS="test_a" check_tests 5 3 3
}

test_tests_of_a_gpu_are_counted_apart() {
  set +e
  mkdir "$tmp/taps"
  printf 'ok - e::one  # SKIP no GPU\nok - e::two  # SKIP no CUDA device\nok - e::three  (0.00s)\n' \
    >"$tmp/taps/test_e.tap"
  CODE=0 PROGRAMS="test_e" check_tests 5 0 0 || return 1
  says "not run without a GPU: 6 tests: e::one e::two e::one" || return 1
  [[ $said != *"skipped: test_e"* ]] || fail "skipped: $said"
}

test_what_is_missing_is_a_skip() {
  set +e
  FORMAT=19.1.7 BUILT='' CODE=0 PROGRAMS="test_b" check_tests 4 0 2 || return 1
  says "skipped: kernels compiled by nvcc" || return 1
  says "skipped: format" || return 1
  sed -i 's/^clang clang .*/clang nonesuch clang . . ./; s/there clang |/there nonesuch |/' \
    "$repo"/scripts/{setup,test}.sh
  CODE=0 PROGRAMS="test_b" check_tests 4 0 1 || return 1
  says "skipped: all of it compiled by clang"
}

# coverage CODE HOST KERNELS [FILE...]: so many of 10 lines in two files ran; these files are there too
coverage() {
  local code=$1 file
  mkdir -p top/src/{host,kernels} top/tests
  for file in host/a.c kernels/b.cu "${@:4}"; do touch "top/src/$file"; done
  printf 'filename,line_total,line_covered\nsrc/host/a.c,10,%s\nsrc/kernels/b.cu,10,%s\n' "$2" "$3" >table.csv
  printf '# why\nsrc/host/gpu.c  wants a GPU\n' >top/tests/uncovered.txt
  expect "$code" /usr/bin/python3 "$source_dir/tests/support/coverage.py" "$PWD/top" table.csv
}

test_coverage_has_a_floor() {
  coverage 0 9 10 host/gpu.c
  says '| **all of src/host** | 1 | 10 | 9 | 90.0 |'
  coverage 1 8 10
  says 'failed: src/host: 80.0 % of the lines ran'
  coverage 1 10 8
  says 'failed: src/kernels: 80.0 % of the lines ran'
  coverage 1 10 10 host/new.c
  says 'failed: src/host/new.c is not measured'
  rm top/src/host/{gpu,new}.c
  coverage 1 10 10
  says 'failed: src/host/gpu.c is measured, or gone'
}

test_no_test_is_a_failure() {
  set +e
  CODE=0 PROGRAMS="" check_tests 2 3 0 || return 1
  [ "$rc" -eq 1 ] || fail "exit $rc though nothing ran"
}

run_tests scripts "$tap"
