#!/usr/bin/env bash
# test_cuda_setup.sh [--tap=FILE]: what set-up does about CUDA: drivers that answer as old and as new
# ones, fetching by pip from a folder of small wheels, cut off, twice at once, without space or
# network, and what `setup.sh --check` says of it all.
# shellcheck disable=SC2016 # what the stand-ins shall expand stands in single quotes
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$source_dir/tests/support/tap.sh"
shared=$(mktemp -d)
trap 'rm -rf "$shared"' EXIT
while read -r name; do unset "$name"; done < <(compgen -v | grep -E '^(PIP_|NORMLAB_|CUDA|CUDNN_)')
unset CC VIRTUAL_ENV XDG_CACHE_HOME

# ---- made once: wheels and their table, a pip, a driver ----

# Wheels of a few files each, as NVIDIA's are laid out; the table has their sums and sizes.
python3 - "$shared" <<'END'
import hashlib, os, sys, zipfile
top = sys.argv[1]
os.makedirs(top + "/wheels")
cudnn = {"include/cudnn_graph.h": "", "include/cudnn_version.h": "#define CUDNN_MAJOR 9\n"
         "#define CUDNN_MINOR 20\n#define CUDNN_PATCHLEVEL 0\n", "lib/libcudnn.so.9": ""}
cublas = {"include/cublas_v2.h": "", "include/cublas_api.h": "#define CUBLAS_VER_MAJOR %s\n",
          "lib/libcublas.so.%s": ""}
nvcc = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
  --version) echo 'Cuda compilation tools, release 13.0, V13.0.88'; exit ;;
  --dryrun) exit ;;
  -o) echo program >"$2" ;;
  esac
  shift
done
"""
with open(top + "/nvcc", "w") as file:
    file.write(nvcc)
wheels = [("13", "nvcc", "nvidia-cuda-nvcc", "13.0.88", "cu13", {"bin/nvcc": nvcc}),
          ("13", "cublas", "nvidia-cublas", "13.0.2.14", "cu13", cublas),
          ("13", "cudnn", "nvidia-cudnn-cu13", "9.20.0.48", "cudnn", cudnn),
          ("12", "cublas", "nvidia-cublas-cu12", "12.9.1.4", "cublas", cublas),
          ("12", "cudnn", "nvidia-cudnn-cu12", "9.20.0.48", "cudnn", cudnn)]
with open(top + "/cuda-wheels.txt", "w") as table:
    table.write("# a comment\n")
    for major, part, name, version, folder, files in wheels:
        module = name.replace("-", "_")
        path = "%s/wheels/%s-%s-py3-none-any.whl" % (top, module, version)
        info = "%s-%s.dist-info/" % (module, version)
        meta = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
        wheel = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(path, "w") as z:
            for file, text in files.items():
                entry = zipfile.ZipInfo("nvidia/%s/%s" % (folder, file.replace("%s", major)))
                entry.external_attr = 0o100755 << 16
                z.writestr(entry, text.replace("%s", major))
            z.writestr(info + "METADATA", meta)
            z.writestr(info + "WHEEL", wheel)
            z.writestr(info + "RECORD", "")
        content = open(path, "rb").read()
        table.write("%s %s %s %s==%s 3000000 5000000 %s\n" % (
            major, os.uname().machine, part, name, version, hashlib.sha256(content).hexdigest()))
END
# Python itself: what stands in PATH may be a slow script in front of it.
python=$shared/venv/bin
if python3 -c 'import pip' 2>/dev/null; then
  python=$shared/python
  mkdir "$python"
  ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$python/python3"
else
  /usr/bin/python3 -m venv "$shared/venv"
fi
cat >"$shared/driver.c" <<'END'
#include <stdlib.h>
static int word(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}
int cuInit(unsigned flags) { return (int)flags + word("DRIVER_INIT", 0); }
int cuDriverGetVersion(int *version) { *version = word("DRIVER", 13000); return 0; }
int cuDeviceGetCount(int *count) { *count = word("DRIVER_DEVICES", 1); return 0; }
END
mkdir "$shared/driver"
cc -shared -fPIC -o "$shared/driver/libcuda.so.1" "$shared/driver.c"

# ---- what each test starts with: a copy of scripts/ and cmake/, a home of its own, no toolkit ----

stand_in() {
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"
  chmod +x "$1"
}

prepare() {
  repo=$tmp/repo
  mkdir -p "$repo" "$tmp/bin" "$tmp/home"
  cp -r "$source_dir/scripts" "$source_dir/cmake" "$source_dir/configs" "$repo/"
  cp "$shared/cuda-wheels.txt" "$repo/scripts/"
  cp -r "$shared/wheels" "$tmp/wheels"
  export HOME=$tmp/home CUDA_PLACES='' PIP_NO_INDEX=1 PIP_FIND_LINKS=$tmp/wheels
  unset LD_LIBRARY_PATH
  PATH=$tmp/bin:$python:$PATH
  ! command -v nvcc >/dev/null || stand_in "$tmp/bin/nvcc" 'exit 1' # hides the machine's own
  cache=$HOME/.cache/normlab folder=$HOME/.cache/normlab/cuda-13.0
}

# in_setup COMMAND...: as a script that sources setup.sh runs it
in_setup() { bash -c 'set -euo pipefail; source "$0/scripts/setup.sh"; "$@"' "$repo" "$@"; }

# holds LINE...: what the folder says that it holds, in any order
holds() {
  [ "$(sort "$folder/complete")" = "$(printf '%s\n' "$@" | sort)" ] || fail "$(cat "$folder/complete")"
  [ ! -e "$folder.part" ] || fail "left behind: $(find "$folder.part")"
}
all13=(nvidia-cuda-nvcc==13.0.88 nvidia-cublas==13.0.2.14
  nvidia-cudnn-cu13==9.20.0.48)
both12=(nvidia-cublas-cu12==12.9.1.4 nvidia-cudnn-cu12==9.20.0.48)

nothing_fetched() {
  [ ! -e "$cache" ] || [ -z "$(find "$cache" -name complete)" ] || fail "fetched: $(find "$cache")"
}

# ---- fetching ----

test_fetch_into_an_empty_cache() {
  expect 0 in_setup fetch_cuda
  says '(nvcc cublas cudnn): 9 MB to fetch, 15 MB on disk'
  says "NVIDIA's licence"
  says "to remove them: rm -r $folder"
  holds "${all13[@]}"
  [ -e "$folder/nvidia/cu13/lib64/libcublas.so.13" ] || fail "no lib64"
  [ -x "$folder/nvidia/cu13/bin/nvcc" ] || fail "nvcc cannot be run"
  for name in .local .cache/pip; do [ ! -e "$HOME/$name" ] || fail "$name is there"; done
  [ "$(ls -A "$cache")" = cuda-13.0 ] || fail "something else is left: $(ls -A "$cache")"
  expect 0 in_setup fetch_cuda
  [ -z "$said" ] || fail "not quiet: $said"
}

test_fetch_adds_what_is_missing() {
  expect 0 in_setup fetch_cuda 13 cudnn
  holds nvidia-cudnn-cu13==9.20.0.48
  rm "$tmp/wheels"/nvidia_cudnn_cu13*
  expect 0 in_setup fetch_cuda 13 nvcc cublas cudnn
  says '(nvcc cublas): 6 MB'
  holds "${all13[@]}"
  [ -e "$folder/nvidia/cudnn/lib/libcudnn.so.9" ] || fail "cuDNN is gone"
}

test_fetch_of_other_versions_begins_anew() {
  expect 0 in_setup fetch_cuda
  echo nvidia-cuda-nvcc==12.9 >>"$folder/complete"
  touch "$folder/nvidia/cu13/old"
  expect 0 in_setup fetch_cuda
  holds "${all13[@]}"
  [ ! -e "$folder/nvidia/cu13/old" ] || fail "two versions are mixed"
}

test_fetch_for_cuda_12() {
  expect 0 in_setup fetch_cuda 12 cublas cudnn
  folder=$cache/cuda-12
  holds "${both12[@]}"
}

test_fetch_goes_on_after_a_cut() {
  local wheel=$tmp/wheels/nvidia_cudnn_cu13-9.20.0.48-py3-none-any.whl
  mv "$wheel" "$tmp/"
  expect 1 in_setup fetch_cuda
  says "kept in $folder.part"
  [ ! -e "$folder" ] || fail "half a fetch is used"
  rm "$tmp/wheels"/*
  mv "$tmp/${wheel##*/}" "$wheel"
  expect 0 in_setup fetch_cuda # what had arrived comes from nowhere else
  holds "${all13[@]}"
}

test_fetch_cut_while_unpacking() {
  mkdir -p "$folder.part/tree/nvidia/cu13/bin" "$folder.part/tmp" "$folder.part/wheels"
  touch "$folder.part/tree/complete" "$folder.part/tree/nvidia/half" "$folder.part/tmp/x"
  echo half >"$folder.part/wheels/nvidia_cublas-13.0.2.14-py3-none-any.whl"
  expect 0 in_setup fetch_cuda
  holds "${all13[@]}"
  [ ! -e "$folder/nvidia/half" ] || fail "half of an earlier fetch is used"
}

test_fetch_refuses_a_wrong_sum() {
  echo more >>"$tmp/wheels/nvidia_cublas-13.0.2.14-py3-none-any.whl"
  expect 1 in_setup fetch_cuda
  says 'nvidia-cublas'
  nothing_fetched
}

test_fetch_two_at_once() {
  mkdir -p "$cache"
  flock "$cache" bash -c "touch '$tmp/held'; sleep 1" &
  while [ ! -e "$tmp/held" ]; do sleep 0.02; done
  expect 0 in_setup fetch_cuda
  says 'another set-up is fetching'
  holds "${all13[@]}"
  in_setup fetch_cuda 12 cudnn >"$tmp/one" 2>&1 &
  expect 0 in_setup fetch_cuda 12 cudnn
  wait "$!" || fail "the other one failed: $(cat "$tmp/one")"
  [ "$(cat "$tmp/one" - <<<"$said" | grep -c 'fetching NVIDIA')" -eq 1 ] || fail "both fetched"
}

test_fetch_without_space() {
  stand_in "$tmp/bin/df" 'echo Filesystem; echo x 1 1 20000 1 /' # 20.5 MB
  expect 1 in_setup fetch_cuda
  says '24 MB are needed'
  says '20 MB are free'
  nothing_fetched
  [ ! -e "$folder.part" ] || fail "began all the same"
}

test_fetch_whatever_the_user_set() {
  printf '[install]\nuser = true\n' >"$tmp/pip.conf"
  PIP_CONFIG_FILE=$tmp/pip.conf PIP_REQUIRE_VIRTUALENV=1 PIP_USER=1 expect 0 in_setup fetch_cuda
  holds "${all13[@]}"
}

test_fetch_without_a_home() {
  expect 1 env -u HOME bash -c 'source "$0/scripts/setup.sh"; fetch_cuda' "$repo"
  says 'HOME is not set'
}

test_fetch_on_another_machine() {
  stand_in "$tmp/bin/uname" 'echo riscv64'
  expect 1 in_setup fetch_cuda
  says 'no CUDA parts are known for riscv64'
}

# ---- drivers ----

with_driver() { export LD_LIBRARY_PATH=$shared/driver; }

test_no_driver_fetches_nothing() {
  /sbin/ldconfig -p | grep 'libcuda\.so\.1 ' && return # this machine has one
  expect 0 in_setup setup_cuda auto
  [ -z "$said" ] || fail "not quiet: $said"
  nothing_fetched
}

test_driver_580() {
  with_driver
  expect 0 in_setup setup_cuda auto
  holds "${all13[@]}"
}

test_driver_535() {
  with_driver
  DRIVER=12020 expect 0 in_setup setup_cuda auto
  says 'the NVIDIA driver here is of the series 535 (CUDA 12.2), and CUDA 13 needs 580 or newer'
  says 'or a CUDA 12 toolkit'
  says 'going on with the CPU'
  nothing_fetched
}

test_a_long_list_of_libraries_is_read_to_its_end() {
  stand_in "$tmp/bin/ldconfig" 'printf "\tlibcuda.so.1 (libc6,x86-64) => /x/libcuda.so.1\n"
    seq 1 50000 | sed "s/^/\tlib/"'
  expect 0 in_setup driver_library_here
}

# a_toolkit FOLDER VERSION: FOLDER/bin/nvcc, which works
a_toolkit() {
  mkdir -p "$1/bin"
  sed "s/13\.0/$2/g" "$shared/nvcc" >"$1/bin/nvcc"
  chmod +x "$1/bin/nvcc"
}

test_driver_535_with_a_toolkit_12() {
  with_driver
  a_toolkit "$tmp/new" 13.0
  a_toolkit "$tmp/old" 12.4
  DRIVER=12020 CUDACXX=$tmp/new/bin/nvcc CUDA_HOME=$tmp/old expect 0 in_setup setup_cuda auto
  [ ! -e "$folder" ] || fail "fetched for CUDA 13"
  folder=$cache/cuda-12
  holds "${both12[@]}"
}

test_driver_470_is_offered_no_toolkit_12() {
  with_driver
  DRIVER=11040 expect 0 in_setup setup_cuda auto
  says 'needs 580 or newer: install a newer driver; going on'
}

test_driver_without_a_device() {
  with_driver
  DRIVER_DEVICES=0 expect 0 in_setup setup_cuda auto
  says 'libcuda.so.1 is here and finds no NVIDIA device'
  DRIVER_INIT=34 expect 0 in_setup setup_cuda auto # as the toolkit's dummy library answers
  says 'finds no NVIDIA device (error 34)'
  nothing_fetched
}

test_toolkit_without_cudnn() {
  with_driver
  a_toolkit "$tmp/kit" 13.0
  mkdir -p "$tmp/kit/include" "$tmp/kit/lib64"
  echo '#define CUBLAS_VER_MAJOR 13' >"$tmp/kit/include/cublas_api.h"
  touch "$tmp/kit/include/cublas_v2.h" "$tmp/kit/lib64/libcublas.so.13"
  CUDA_HOME=$tmp/kit expect 0 in_setup setup_cuda auto
  says '(cudnn): 3 MB'
  holds nvidia-cudnn-cu13==9.20.0.48
  CUDA_HOME=$tmp/kit expect 0 in_setup setup_cuda auto
  [ -z "$said" ] || fail "not quiet: $said"
}

test_broken_toolkit_is_passed_over() {
  with_driver
  mkdir -p "$tmp/kit/bin"
  stand_in "$tmp/kit/bin/nvcc" 'echo "error: unsupported GNU version!" >&2; exit 1'
  CUDA_HOME=$tmp/kit expect 0 in_setup setup_cuda auto
  says "$tmp/kit/bin/nvcc: cannot compile: error: unsupported GNU version!"
  holds "${all13[@]}"
}

test_no_network() {
  with_driver
  rm "$tmp/wheels"/*
  expect 0 in_setup setup_cuda auto
  says 'going on with the CPU'
  says 'PIP_FIND_LINKS=FOLDER'
  expect 4 in_setup setup_cuda always
  says 'could not be fetched'
  nothing_fetched
}

test_left_out() {
  with_driver
  NORMLAB_CUDA=OFF expect 0 in_setup setup_cuda auto
  [ -z "$said" ] || fail "not quiet: $said"
  NORMLAB_CUDA=OFF expect 2 in_setup setup_cuda always
  nothing_fetched
}

# ---- run.sh and setup.sh --check ----

# A machine on which nothing is installed but what scripts themselves need: apt-get notes what it is
# asked for, after which it is there.
bare_machine() {
  local name
  mkdir "$tmp/system"
  for name in bash sh env cat cut tr sed awk grep sort uniq head tail paste mktemp mkdir rm mv cp ln ls \
    chmod readlink dirname basename df du id uname find wc touch flock sha256sum gzip gcc cc ld as \
    date sleep stat xargs tee; do
    ln -s "$(command -v "$name")" "$tmp/system/$name"
  done
  stand_in "$tmp/system/apt-get" 'case " $* " in
    *" --assume-no "*) echo "Need to get 7,890 kB of archives." ;;
    *" update "*) ;;
    *)
      while [ "$1" != --no-install-recommends ]; do shift; done
      shift
      printf "%s\n" "$@" >"$APT"
      for name in ninja g++ pkg-config gnuplot curl; do ln -sf "$(type -P true)" "$SYSTEM/$name"; done
      printf "#!/bin/sh\necho \"\$@\" >>$CMAKE_LOG\n" >"$SYSTEM/cmake" && chmod +x "$SYSTEM/cmake" ;;
    esac'
  ln -s "$(type -P true)" "$tmp/system/true"
  mkdir -p "$repo/build/release" "$cache/mnist"
  stand_in "$repo/build/release/normlab" 'printf "%s\n" "$@" >"$ARGS"'
  for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
    echo "$name" >"$cache/mnist/$name-ubyte"
  done
  (cd "$cache/mnist" && sha256sum -- * | sed 's/^/mnist 1 /') >"$repo/scripts/data-sets.txt"
  export APT=$tmp/apt CMAKE_LOG=$tmp/cmake SYSTEM=$tmp/system ARGS=$tmp/args PATH=$python:$tmp/system
}

# listed ROW: the words of this row of --check, one a line, as far as they are names
listed() {
  sed -n "s/^$1 *run.sh [a-z]* \([^:]*\).*/\1/p" <<<"$said" | sed 's/ of CUDA.*//' | tr ' ' '\n' | sort
}

test_check_lists_what_run_installs() {
  bare_machine
  with_driver
  expect 0 "$repo/scripts/setup.sh" --check
  says 'driver    for CUDA 13.0 (series 580), devices: 1'
  says '7,890 kB to fetch'
  says "CUDA      run.sh fetches nvcc cudnn cublas of CUDA 13: 9 MB to fetch, 15 MB on disk, into $folder"
  nothing_fetched
  [ ! -e "$APT" ] || fail "installed: $(cat "$APT")"
  local packages
  packages=$(listed packages)
  expect 0 "$repo/scripts/run.sh"
  [ "$packages" = "$(sort "$APT")" ] || fail "listed $packages, installed $(cat "$APT")"
  holds "${all13[@]}"
  expect 0 "$repo/scripts/setup.sh" --check
  says 'packages  all here'
  says 'CUDA      all here'
  says "cuDNN     $folder/nvidia/cudnn/include, 9.20.0"
}

test_check_without_a_driver() {
  /sbin/ldconfig -p | grep 'libcuda\.so\.1 ' && return
  bare_machine
  expect 0 "$repo/scripts/setup.sh" --check
  says 'driver    no NVIDIA driver here'
  says 'run.sh fetches nothing: no NVIDIA driver here'
  says 'run.sh --cuda fetches nvcc cudnn cublas of CUDA 13: 9 MB'
  expect 0 "$repo/scripts/run.sh"
  nothing_fetched
  grep -q -- '-DNORMLAB_CUDA=AUTO' "$CMAKE_LOG" || fail "$(cat "$CMAKE_LOG")"
}

test_check_with_an_old_driver() {
  bare_machine
  with_driver
  DRIVER=12020 expect 0 "$repo/scripts/setup.sh" --check
  says 'driver    for CUDA 12.2 (series 535), devices: 1'
  says 'run.sh fetches nothing: the NVIDIA driver here is of the series 535'
}

test_check_before_there_is_a_compiler() {
  bare_machine
  with_driver
  rm "$SYSTEM/cc" "$SYSTEM/gcc"
  expect 0 "$repo/scripts/setup.sh" --check
  says 'libcuda.so.1 is here; it is asked once a C compiler is'
  says 'run.sh fetches nvcc cudnn cublas of CUDA 13'
}

test_run_cuda_forces_the_fetch() {
  bare_machine
  expect 0 "$repo/scripts/run.sh" --cuda --epochs 3
  holds "${all13[@]}"
  grep -qx -- --cuda "$ARGS" && fail "the program got --cuda"
  grep -qx -- 3 "$ARGS" || fail "an option was lost: $(cat "$ARGS")"
}

test_run_on_the_cpu_fetches_nothing() {
  bare_machine
  with_driver
  expect 0 "$repo/scripts/run.sh" --device cpu
  nothing_fetched
}

test_run_hands_the_choice_to_cmake() {
  bare_machine
  with_driver
  NORMLAB_CUDA=OFF expect 0 "$repo/scripts/run.sh"
  nothing_fetched
  grep -q -- '-DNORMLAB_CUDA=OFF' "$CMAKE_LOG" || fail "$(cat "$CMAKE_LOG")"
  NORMLAB_CUDA=OFF expect 2 "$repo/scripts/run.sh" --cuda
}

run_tests cuda_setup "$tap"
