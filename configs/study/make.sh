#!/usr/bin/env bash
# make.sh: writes the configs of the studies from those of the published variants, so that they
# differ in what they study and in nothing else. Run it after a change of ../bn.yaml, ln or gn.
set -euo pipefail
cd "$(dirname "$0")"

# derive NORM FILE COMMENT SED...: ../NORM.yaml with another first line and some values replaced
derive() {
  local norm=$1 file=$2 comment=$3
  shift 3
  sed -e "1s/.*/# $comment Written by configs\/study\/make.sh./" "$@" "../$norm.yaml" >"$file"
}

mkdir -p fair small_batch vary
for norm in bn ln gn; do
  for l1 in 0 0.001; do
    for l2 in 0 0.0005; do
      name=fair_$norm
      [ "$l1" = 0 ] || name+=_l1
      [ "$l2" = 0 ] || name+=_l2
      derive "$norm" "fair/$name.yaml" "The fair grid: L1 $l1, L2 (weight decay) $l2." \
        -e "s/^  l1: [^ ]*/  l1: $l1/" -e "s/^  weight_decay: .*/  weight_decay: $l2/"
    done
  done
  for batch in 2 4 8 16 64; do
    # The learning rate in proportion to the batch, so that an epoch moves the weights as far.
    rate=$(awk "BEGIN { printf \"%.10g\", 0.01 * $batch / 64 }")
    derive "$norm" "small_batch/batch${batch}_$norm.yaml" "Small batches: $batch images." \
      -e "s/^  batch: .*/  batch: $batch/" -e "s/^  lr: .*/  lr: $rate # 0.01 x $batch \/ 64/"
  done
done
for streams in "init, order, augment, dropout" init order augment dropout; do
  name=$streams
  [ "${streams%,*}" = "$streams" ] || name=all
  derive bn "vary/vary_$name.yaml" "What makes the spread: the seed decides $streams." \
    -e "s/^  seed: .*/&\n  vary: [$streams] # what follows the seed; the rest keeps seed 1/"
done
