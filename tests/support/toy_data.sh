#!/usr/bin/env bash
# Sourced by tests that are scripts: a data set and a config that train in a moment.

# idx FILE COUNT IMAGES: a data file of so many items, all labels 7
idx() {
  if [ "$3" = images ]; then
    { printf "\\0\\0\\10\\3\\0\\0\\0\\$(printf %o "$2")\\0\\0\\0\\34\\0\\0\\0\\34"; head -c $(($2 * 784)) /dev/urandom; } >"$1"
  else
    { printf "\\0\\0\\10\\1\\0\\0\\0\\$(printf %o "$2")"; head -c "$2" /dev/zero | tr '\0' '\7'; } >"$1"
  fi
}

# toy_data: data/ and toy.yaml in this folder
toy_data() {
  local part
  mkdir data
  for part in train t10k; do
    idx data/$part-images-idx3-ubyte 40 images
    idx data/$part-labels-idx1-ubyte 40 labels
  done
  cat >toy.yaml <<'Y'
data: {batch: 8}
model:
  norm: layer
  layers:
    - {conv: 8, kernel: 5, pad: 2, norm: true, relu: true}
    - {pool: max, size: 2, dropout: true}
    - {conv: 10, kernel: 3, pad: 0, norm: false, relu: false}
    - {pool: average}
train: {epochs: 2}
Y
}
