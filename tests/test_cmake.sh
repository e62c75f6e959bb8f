#!/usr/bin/env bash
# test_cmake.sh BUILD [--tap=FILE]: what everybody expects of a CMake project: a build type by
# default, the user's flags, reasons for what is missing, an install that works away from the
# sources. BUILD is a folder where all is built.
# shellcheck disable=SC2317,SC2329 # the tests are called by name
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/tap.sh
source "$here/support/tap.sh"
source_dir=$(cd "$here/.." && pwd)
build=$1
tap=${2-}
tap=${tap:-/dev/stdout}
# shellcheck disable=SC2034 # says reads it
said=''

configure() { # CODE OPTION...
  local code=$1
  shift
  expect "$code" env -u CFLAGS -u NORMLAB_CUDA cmake -G Ninja -S "$source_dir" -B "$tmp/b" \
    -DNORMLAB_CUDA=OFF -DNORMLAB_TESTS=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@"
}

# all_have REGEX: each command that compiles
all_have() {
  local commands=$tmp/b/compile_commands.json
  grep -q '"command"' "$commands"
  ! grep '"command"' "$commands" | grep -vE -- "$1" || fail "without $1"
}

test_release_is_the_default() {
  configure 0
  says "no CMAKE_BUILD_TYPE given: building Release"
  all_have ' -O3 '
  configure 0 # asked again, it is in the cache
  [[ $said != *"no CMAKE_BUILD_TYPE"* ]] || fail "says it again: $said"
}

test_flags_of_the_user_come_last() {
  configure 0 -DCMAKE_BUILD_TYPE=Release '-DCMAKE_C_FLAGS_RELEASE=-O2 -DMINE' -DCMAKE_C_FLAGS=-DTOO
  all_have ' -DTOO '
  all_have ' -O3 .* -O2 -DMINE '
  rm -r b
  configure 0 -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG=-Og
  all_have ' -O1 .* -Og '
}

test_flags_of_x86_only_there() {
  configure 0
  all_have ' -march=x86-64'
  rm -r b
  # In the place of another processor's compiler: one that denies to be x86-64's.
  cat >other-gcc <<'END'
#!/bin/sh
for file; do
  case $file in *.c) ! grep -q '^#ifndef __x86_64__' "$file" || exit 1 ;; esac
done
exec gcc "$@"
END
  chmod +x other-gcc
  configure 0 -DCMAKE_C_COMPILER="$tmp/other-gcc"
  ! grep -- '-march' b/compile_commands.json || fail "for another processor"
}

# The linker takes any definition of a name that it finds: one for AVX-512 that is called elsewhere, as an inline
# function of a header may be, would end the program on a machine without.
test_avx512_stays_in_its_tables() {
  local set objects names
  for set in avx2 avx512; do
    [ -d "$build/CMakeFiles/normlab_simd_$set.dir" ] || continue
    mapfile -t objects < <(find "$build/CMakeFiles/normlab_simd_$set.dir" -name '*.o')
    [ "${#objects[@]}" -ge 5 ] || fail "no objects for $set"
    names=$(nm -g --defined-only "${objects[@]}" | awk 'NF == 3 { print $3 }')
    grep -q "^nl_simd_$set\$" <<<"$names"
    ! grep '^nl_' <<<"$names" | grep -v "_$set\$" || fail "others may call these of $set"
  done
  mapfile -t objects < <(find "$build/CMakeFiles" -name '*.o' ! -path '*/normlab_simd_avx512.dir/*')
  ! grep -m 1 '%zmm' <(objdump -d --no-show-raw-insn "${objects[@]}" 2>/dev/null) || fail elsewhere
}

test_reason_of_pkg_config_is_shown() {
  mkdir pc
  printf 'Name: x\nDescription: x\nVersion: 1\nRequires: other-half\n' >pc/xlsxwriter.pc
  PKG_CONFIG_PATH=$tmp/pc configure 1
  says "Package 'other-half', required by 'xlsxwriter', not found"
  says libxlsxwriter-dev
}

install() {
  expect 0 cmake --install "$build" --prefix "$tmp/first"
  mv first moved
  program=$tmp/moved/bin/normlab
}

test_install_layout() {
  install
  local file
  for file in bin/normlab share/doc/normlab/LICENSE share/normlab/configs/bn_l1.yaml; do
    [ -s "moved/$file" ] || fail "no $file: $(find moved)"
  done
  (cd "$source_dir" && find configs -name '*.yaml') | while read -r file; do
    cmp "$source_dir/$file" "moved/share/normlab/$file"
  done
  [ "$(find moved -type f ! -name '*.yaml' | wc -l)" -eq 2 ] || fail "more than that: $(find moved)"
}

test_installed_program_finds_configs() {
  install
  mkdir work
  cd work
  expect 0 "$program" summary bn_l1.yaml
  says "9,426"
  local by_file=$said
  expect 0 "$program" summary bn_l1
  [ "$said" = "$by_file" ] || fail "another config without .yaml"
  # The user's own count, and a folder of that name is no config.
  mkdir ln
  expect 0 "$program" summary ln
  sed 's/{conv: 96/{conv: 95/' ../moved/share/normlab/configs/ln.yaml >ln.yaml
  expect 0 "$program" summary ln
  says "95 x 28 x 28"
  # A slash is a path.
  expect 2 "$program" summary ./gn
  says "./gn: cannot open the config"
  expect 2 "$program" summary gm
  says "gm: cannot open the config"
  says "moved/bin/../share/normlab/configs/"
  rm -r ../moved/share
  expect 2 "$program" summary bn_l1.yaml # nothing was left of the sources' folder
}

run_tests cmake "${tap#--tap=}"
