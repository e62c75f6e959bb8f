#!/bin/sh
# Compiler launcher: runs the CUDA compiler and keeps what ptxas tells of registers and spills in
# OBJECT.ptxas, so that the build stays quiet and a test can read it.
object='' last=''
for argument in "$@"; do
  [ "$last" = -o ] && object=$argument
  last=$argument
done
case $object in
*.o) ;;
*) exec "$@" ;;
esac
"$@" 2>"$object.ptxas"
code=$?
grep -v -E '^ptxas info|^ +[0-9]+ bytes stack frame|^$' "$object.ptxas" >&2
exit $code
