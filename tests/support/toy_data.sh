#!/usr/bin/env bash
# Sourced by scripts: a data set and a config that train in a moment.

# idx FILE COUNT images|labels: a data file; noise is as good as any picture here
idx() {
  local i size
  size=$(printf '\\0\\0\\%o\\%o' $(($2 / 256)) $(($2 % 256)))
  if [ "$3" = images ]; then
    printf '%b' "\0\0\10\3$size\0\0\0\34\0\0\0\34"
    head -c $(($2 * 784)) /dev/urandom
  else
    printf '%b' "\0\0\10\1$size"
    for ((i = 0; i < $2; i++)); do printf '%b' "\0$((i * i % 7))"; done
  fi >"$1"
}

# toy_data [TRAIN [TEST]]: data/, of so many images, and toy.yaml in this folder
toy_data() {
  mkdir data
  idx data/train-images-idx3-ubyte "${1-40}" images
  idx data/train-labels-idx1-ubyte "${1-40}" labels
  idx data/t10k-images-idx3-ubyte "${2-40}" images
  idx data/t10k-labels-idx1-ubyte "${2-40}" labels
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
