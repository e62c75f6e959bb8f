#!/usr/bin/env bash
# Sourced by tests that fetch data sets: of a folder, $tmp/mirror, in a server's place.

# published SET FILE...: lines of data-sets.txt for these of the mirror
published() {
  local set=$1 name
  shift
  for name in "$@"; do
    printf '%s %s %s %s\n' "$set" "$(stat -c %s "$tmp/mirror/$name")" \
      "$(sha256sum <"$tmp/mirror/$name" | cut -d' ' -f1)" "$name"
  done
}
