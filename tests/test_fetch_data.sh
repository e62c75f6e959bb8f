#!/usr/bin/env bash
# test_fetch_data.sh [--tap=FILE]: fetch-data.sh for sets other than MNIST (test_scripts.sh has that
# one), with small files in their place and a folder as the mirror.
set -uo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
tap=/dev/stdout
[ $# -eq 0 ] || tap=${1#--tap=}
# shellcheck source=tests/support/tap.sh
source "$source_dir/tests/support/tap.sh"
# shellcheck source=tests/support/mirror.sh
source "$source_dir/tests/support/mirror.sh"
four=({train,t10k}-{images-idx3,labels-idx1}-ubyte)
batches=(data_batch_{1..5}.bin test_batch.bin)

make_archives() {
  local folder=$tmp/unpacked name split
  mkdir -p "$folder"/{gzip,cifar-10-batches-bin}
  for name in "${batches[@]}" batches.meta.txt; do
    seq 1 999 | sed "s/^/$name /" >"$folder/cifar-10-batches-bin/$name"
  done
  for split in letters balanced digits; do
    for name in {train,test}-{images-idx3,labels-idx1}-ubyte; do
      echo "$split $name" | gzip >"$folder/gzip/emnist-$split-$name.gz"
    done
  done
  tar -czf "$tmp/mirror/cifar-10-binary.tar.gz" -C "$folder" cifar-10-batches-bin
  /usr/bin/python3 -m zipfile -c "$tmp/mirror/gzip.zip" "$folder/gzip"
}

prepare() {
  local name
  repo=$tmp/repo fetch=$tmp/repo/scripts/fetch-data.sh
  mkdir -p "$repo" "$tmp/mirror" "$tmp/bin"
  cp -r "$source_dir/scripts" "$repo/"
  for name in "${four[@]}"; do seq 1 20000 | sed "s/^/$name /" | gzip >"$tmp/mirror/$name.gz"; done
  make_archives
  { published fashion-mnist "${four[@]/%/.gz}" && published cifar10 cifar-10-binary.tar.gz &&
    published emnist-letters gzip.zip && published emnist-balanced gzip.zip; } \
    >"$repo/scripts/data-sets.txt"
  export NORMLAB_MIRRORS=file://$tmp/mirror HOME=$tmp/home
}

# holds DIR FILE...: these and nothing else
holds() {
  local dir=$1
  shift
  cmp <(cd "$dir" && find . -mindepth 1 | sort) <(printf './%s\n' "$@" | sort) ||
    fail "$dir holds $(ls -A "$dir")"
}

# ---- a set as it is published: four .gz ----

test_gz_files_are_kept_as_they_are() {
  expect 0 "$fetch" fashion-mnist "$tmp/data"
  says "train-images-idx3-ubyte.gz (1 MB)"
  says "Fashion-MNIST is in $tmp/data"
  holds "$tmp/data" "${four[@]/%/.gz}"
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" fashion-mnist "$tmp/data"
  [ -z "$said" ] || fail "not quiet: $said"
}

# A raw file would be read in place of the .gz: it is right if it is what that inflates to.
test_unpacked_files_are_held_against_the_gz() {
  expect 0 "$fetch" fashion-mnist "$tmp/data"
  gzip -dk "$tmp/data/${four[0]}.gz"
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" fashion-mnist "$tmp/data"
  echo more >>"$tmp/data/${four[0]}"
  expect 0 "$fetch" fashion-mnist "$tmp/data"
  holds "$tmp/data" "${four[@]/%/.gz}"
}

test_half_a_download_is_continued() {
  mkdir -p "$tmp/data/.part"
  head -c 1000 "$tmp/mirror/${four[0]}.gz" >"$tmp/data/.part/${four[0]}.gz"
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 3 "$fetch" fashion-mnist "$tmp/data"
  says "still missing: ${four[*]}"
  says "bring these files as .gz"
  [ "$(stat -c %s "$tmp/data/.part/${four[0]}.gz")" -eq 1000 ] || fail "the half is gone"
  expect 0 "$fetch" fashion-mnist "$tmp/data"
  holds "$tmp/data" "${four[@]/%/.gz}"
}

# ---- archives ----

test_cifar10_is_unpacked() {
  expect 0 "$fetch" cifar10 "$tmp/data"
  says "cifar-10-binary.tar.gz (1 MB)"
  says "CIFAR-10 is in $tmp/data"
  holds "$tmp/data" .sums "${batches[@]}"
  cmp "$tmp/data/test_batch.bin" "$tmp/unpacked/cifar-10-batches-bin/test_batch.bin"
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" cifar10 "$tmp/data"
  [ -z "$said" ] || fail "not quiet: $said"
}

test_damaged_files_of_an_archive_are_replaced() {
  expect 0 "$fetch" cifar10 "$tmp/data"
  echo more >>"$tmp/data/data_batch_3.bin"
  rm "$tmp/data/data_batch_4.bin"
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 3 "$fetch" cifar10 "$tmp/data"
  says "still missing: data_batch_3.bin data_batch_4.bin"
  says "bring cifar-10-binary.tar.gz (1 MB)"
  cp "$tmp/mirror/cifar-10-binary.tar.gz" "$tmp/data"
  NORMLAB_MIRRORS=http://127.0.0.1:9 expect 0 "$fetch" cifar10 "$tmp/data"
  cmp "$tmp/data/data_batch_3.bin" "$tmp/unpacked/cifar-10-batches-bin/data_batch_3.bin"
}

test_another_archive_is_refused() {
  cp "$tmp/mirror/gzip.zip" "$tmp/bad.zip"
  mkdir "$tmp/bad"
  echo x | cat "$tmp/mirror/gzip.zip" - >"$tmp/bad/gzip.zip"
  NORMLAB_MIRRORS=file://$tmp/bad expect 3 "$fetch" emnist-letters "$tmp/data"
  says "gzip.zip is not the file it should be"
  [ ! -e "$tmp/data/.sums" ] || fail "unpacked what was not right"
}

test_emnist_leaves_the_files_of_the_set() {
  local set
  for set in letters balanced; do
    expect 0 "$fetch" "emnist-$set" "$tmp/$set"
    says "gzip.zip (1 MB)"
    holds "$tmp/$set" .sums "emnist-$set"-{train,test}-{images-idx3,labels-idx1}-ubyte.gz
  done
  NORMLAB_MIRRORS=file:///nonesuch expect 0 "$fetch" emnist-letters "$tmp/letters"
}

test_keep_leaves_another_set_alone() {
  expect 0 "$fetch" cifar10 "$tmp/data"
  for name in "${batches[@]}"; do echo other >"$tmp/data/$name"; done
  expect 0 "$fetch" --keep cifar10 "$tmp/data"
  says "not CIFAR-10 by SHA-256, used as they are"
  rm "$tmp/data/test_batch.bin"
  expect 3 "$fetch" --keep cifar10 "$tmp/data"
  says "put all 6 files of one set there"
}

# ---- usage ----

test_usage() {
  expect 2 "$fetch" nonesuch "$tmp/data"
  says "nonesuch: no set of known sums"
  says "SET one of fashion-mnist cifar10 emnist-letters emnist-balanced"
  expect 2 "$fetch"
  says "which set?"
  expect 2 "$fetch" cifar10
  says "which folder?"
  expect 2 "$fetch" cifar10 "$tmp/a" "$tmp/b"
  expect 2 "$fetch" --what cifar10 "$tmp/a"
  expect 0 "$fetch" --help
  says "fetch-data.sh [--keep] SET DIR"
  [[ $said != *pipefail* ]] || fail "more than the help: $said"
}

# The real table: each set that is announced, with sizes and sums of the right form, from the host of
# no package registry.
test_the_table_is_whole() {
  local set
  for set in mnist fashion-mnist kmnist emnist-letters emnist-balanced cifar10; do
    grep -q "^$set " "$source_dir/scripts/data-sets.txt" || fail "$set is missing"
  done
  ! grep -v '^#' "$source_dir/scripts/data-sets.txt" |
    grep -vE '^[a-z0-9-]+ +[0-9]+  [0-9a-f]{64}  [A-Za-z0-9._-]+$' || fail "not a line of it"
}

run_tests fetch_data "$tap"
