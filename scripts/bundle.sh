#!/usr/bin/env bash
# bundle.sh [DATA]: builds what tests/gpu.sh needs on a machine that has a GPU and nothing else, and lays
# it into bundle/: the program, the tests that want a GPU, the benchmarks, the shared libraries that a bare
# machine lacks, configs, and the data (DATA, or the default folder of --data) gzipped. CUDA's and
# cuDNN's libraries are not in it: they belong to the machine (gpu.sh finds those of Python wheels too).
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"
bundle=$top/bundle
most=$((48 * 1024 * 1024))

case ${1:-} in
-h | --help) sed -n '2,5s/^# //p' "$0" && exit ;;
esac
if [ $# -gt 0 ]; then
  data=$1
else
  data=${NORMLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/normlab/mnist}
fi
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  [ -s "$data/$name-ubyte" ] || [ -s "$data/$name-ubyte.gz" ] ||
    die 3 "bundle: $data: no $name-ubyte" "scripts/run.sh --epochs 0 fetches the data"
done

need build test
setup_cuda always
build release all gpu_tests
built=$top/build/release
"$built/normlab" --version | grep -qw cuda ||
  die 4 "bundle: the program was built without CUDA" "install the CUDA toolkit and cuDNN's headers"

rm -rf "$bundle"
mkdir -p "$bundle/bench" "$bundle/bin" "$bundle/data" "$bundle/lib" "$bundle/tests"
cp "$built/normlab" "$bundle/"
# One program holds all tests; each suite is called by the name of its file.
cp "$built/tests/gpu_tests" "$bundle/bin/"
# shellcheck disable=SC2016 # what the script expands
for source in "$top"/tests/kernels/test_*.c "$top"/tests/gpu/test_*.c; do
  name=$(basename "$source" .c)
  printf '#!/usr/bin/env bash\nexec "$(dirname "$0")/../bin/gpu_tests" --filter "%s/*" "$@"\n' \
    "${name#test_}" >"$bundle/tests/$name"
  chmod +x "$bundle/tests/$name"
done
cp "$built"/bench/bench_{gpu,launch,machine,norm,step} "$bundle/bench/"
cp -r "$top/configs" "$top/tests/gpu.sh" "$bundle/"
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  if [ -s "$data/$name-ubyte.gz" ]; then
    cp "$data/$name-ubyte.gz" "$bundle/data/"
  else
    gzip -9nc "$data/$name-ubyte" >"$bundle/data/$name-ubyte.gz"
  fi
done

# Every library but the C library's own and the compiler's, which any machine has: an older copy of
# those in front of the machine's would break what the machine brings.
for file in "$bundle/normlab" "$bundle"/bin/* "$bundle"/bench/*; do
  ldd "$file" | awk '$2 == "=>" && $3 ~ /^\// {print $3}'
done | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|libcuda)\.so' |
  while read -r library; do cp -L "$library" "$bundle/lib/"; done
strip "$bundle/normlab" "$bundle"/bin/* "$bundle"/bench/*

commit=$(git -C "$top" rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git -C "$top" status --porcelain --untracked-files=no 2>/dev/null)" ] || commit+=-modified
printf '{"commit": "%s", "version": "%s", "glibc": "%s"}\n' "$commit" \
  "$("$built/normlab" --version)" "$(getconf GNU_LIBC_VERSION)" >"$bundle/bundle.json"

size=$(du -sb "$bundle" | cut -f1)
[ "$size" -le "$most" ] || die 1 "bundle: $size bytes, $most are the most"
say "bundle: $bundle: $((size / 1024 / 1024)) MiB, $(find "$bundle/tests" -type f | wc -l) test programs"
