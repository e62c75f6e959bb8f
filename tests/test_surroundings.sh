#!/usr/bin/env bash
# test_surroundings.sh PROGRAM [--tap=FILE]: what the program is started in and told to
# write to: closed descriptors, lost readers, low limits, devices, pipes, names full of quotes.
# Results go to FILE in TAP, like Criterion's.
set -uo pipefail
program=$1
if [ $# -lt 2 ]; then exec 3>&1; else exec 3>"${2#--tap=}"; fi
# shellcheck source=tests/support/toy_data.sh
source "$(dirname "$0")/support/toy_data.sh"
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1
number=0 failed=0

# check NAME COMMAND...: one test
check() {
  local name=surroundings::$1
  shift
  number=$((number + 1))
  (set -e; "$@") >said 2>&1 # no condition: there set -e would not count
  if [ $? = 0 ]; then echo "ok $number - $name" >&3
  else
    echo "not ok $number - $name" >&3
    cat said
    failed=1
  fi
}

toy_data
training=(train toy.yaml --data data --device cpu --no-report)
train() { "$program" "${training[@]}" "$@"; }
evaluation=(eval run/toy/seed-1/last.safetensors --data data --device cpu)
train --out run --quiet >said 2>&1 || { cat said; exit 1; }

lacks() { # TEXT FILE
  if grep -q "$@"; then
    echo "$1 is in $2"
    return 1
  fi
}
expect() { # CODE COMMAND...
  local want=$1 got=0
  shift
  "$@" || got=$?
  [ "$got" = "$want" ] || { echo "exit $got, not $want: $*"; return 1; }
}

closed_descriptors() {
  train --out closed <&- >&- 2>err || [ $? = 6 ]
  train --out closed2 <&- >&- 2>&- || [ $? = 6 ]
  for folder in closed closed2; do
    cmp $folder/toy/seed-1/last.safetensors run/toy/seed-1/last.safetensors
    [ "$(grep -c '^{"event":' $folder/toy/seed-1/metrics.jsonl)" = \
      "$(wc -l <$folder/toy/seed-1/metrics.jsonl)" ]
  done
  expect 6 "$program" summary toy.yaml >&- 2>err
  grep -q 'standard output' err
  cp -r run shut
  for closed in '<&-' '2>&-' '<&- 2>&-'; do # where nothing is lost
    eval "\"$program\" report shut $closed >/dev/null"
    whole_report shut
    eval "\"$program\" worksheet shut.xlsx $closed"
    [ -s shut.xlsx ]
    eval "\"$program\" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits shut.csv $closed" >out
    [ -s out ]
    [ "$(wc -l <shut.csv)" = 41 ]
    rm shut.xlsx shut.csv
  done
}
lost_reader() {
  mkfifo log
  head -n 1 log >first &
  expect 0 train --out lost >log 2>err
  wait
  [ "$(grep -c 'is lost from here on' err)" = 1 ]
  cmp lost/toy/seed-1/last.safetensors run/toy/seed-1/last.safetensors
}
full_output() {
  expect 6 "$program" --help >/dev/full 2>err
  grep -q 'No space left' err
}
file_limit() {
  (ulimit -f 4; expect 6 "$program" worksheet small.xlsx) 2>err
  (ulimit -f 1; expect 6 "$program" report run) 2>>err
  (ulimit -f 1; expect 6 "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits l.csv) >out 2>>err
  grep -q 'File too large' err
  [ ! -e small.xlsx ]
  [ ! -e l.csv ]
  [ -z "$(find . -name '*.tmp')" ]
}
# survives LIMIT ARGUMENT...: the program under that limit of ulimit ends by itself, with all done or
# a message; its code is in $code
survives() {
  local limit=$1
  shift
  code=0
  timeout 60 bash -c "ulimit $limit"' && exec "$@"' bash "$program" "$@" >out 2>err || code=$?
  # not even begun: the loader's words
  [ $code != 127 ] || ! grep -Eq 'loading shared libraries|allocate TLS' err || return 0
  [ $code -lt 124 ] || { echo "$limit: exit $code: $*: $(cat err)"; return 1; }
  [ $code = 0 ] || grep -q '^normlab: ' err || { echo "$limit: exit $code, nothing said: $*"; return 1; }
}
few_descriptors() { # whatever cannot be opened: a message, and the run goes on with more of them
  local n
  (ulimit -n 3; train --out fresh) 2>err && return 1
  lacks 'already there' err
  cp -r run few
  "$program" report few >said 2>&1
  for n in 3 4 5 6 7 8 10 12 16; do
    survives "-n $n" report few
    whole_report few
    survives "-n $n" "${evaluation[@]}"
    survives "-n $n" "${training[@]}" --out "few$n" --quiet
    goes_on "few$n"
  done
}
goes_on() { # OUT: what a failed run left there becomes what one leaves that nothing failed
  local resume=--overwrite file
  [ ! -e "$1/toy/seed-1/run.json" ] || resume=--resume
  train --out "$1" --quiet $resume
  for file in init last best; do
    cmp "$1/toy/seed-1/$file.safetensors" run/toy/seed-1/$file.safetensors
  done
  cmp "$1/toy/seed-1/predictions.csv" run/toy/seed-1/predictions.csv
  [ -z "$(find "$1" -name '*.tmp')" ]
}
small_disk() { # KIB: an empty one
  umount disk 2>/dev/null || true
  mount -t tmpfs -o size=$1k none disk
}
full_disks() { # of sizes at which each of a run's files is the one that does not fit
  local kib full=0
  mkdir disk
  trap 'umount disk' EXIT
  for ((kib = 4; kib <= 96; kib += 4)); do
    small_disk $kib
    survives '-c 0' "${training[@]}" --out disk/out --quiet
    if [ $code = 6 ]; then
      full=$((full + 1))
      grep -q 'No space left' err
    fi
    [ $code = 0 ] || [ $code = 6 ]
    mount -o remount,size=10m disk
    goes_on disk/out
  done
  [ $full -ge 8 ]
  [ $code = 0 ]
  for kib in 40 100 200 400 800; do
    small_disk 10240
    cp -r run disk/run
    "$program" report disk/run
    mount -o remount,size=$(($(du -sk disk | cut -f 1) + kib))k disk
    survives '-c 0' report disk/run
    whole_report disk/run
    [ $code = 0 ] || [ $code = 6 ]
  done
}
small_stack() {
  (ulimit -Ss 64; expect 0 "$program" worksheet stack.xlsx)
  (ulimit -s 64; expect 1 "$program" worksheet stack2.xlsx) 2>err
  grep -q 'ulimit -s' err
}
little_memory() { # none is lost: a message and exit 1, or the work is done
  local kib code
  for kib in 12000 16000 20000 24000 28000 32000 40000 60000; do
    survives "-v $kib" "${evaluation[@]}" --json
    [ $code != 1 ] || grep -q 'out of memory' err
  done
  "$program" worksheet whole.xlsx
  for ((kib = 8000; kib < 40000; kib += 500)); do
    survives "-v $kib" worksheet little.xlsx
    [ $code != 0 ] || cmp little.xlsx whole.xlsx
    [ $code != 1 ] || grep -q 'out of memory' err
  done
}
devices_and_pipes() {
  ln -s /dev/null null.xlsx
  "$program" worksheet null.xlsx
  [ -L null.xlsx ]
  [ -c /dev/null ]
  mkfifo pipe.csv
  cat pipe.csv >copy &
  "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits pipe.csv >out
  wait
  [ -p pipe.csv ]
  [ "$(wc -l <copy)" = 41 ]
  ln -s there.csv link.csv
  : >there.csv
  "$program" eval run/toy/seed-1/last.safetensors --data data --device cpu --logits link.csv >out
  [ -L link.csv ]
  cmp there.csv copy
}
its_own_input() {
  cp run/toy/seed-1/last.safetensors own.safetensors
  ln own.safetensors other.safetensors
  for path in own.safetensors other.safetensors; do
    expect 2 "$program" eval own.safetensors --data data --device cpu --logits $path 2>err
    grep -q 'being read' err
  done
  cmp own.safetensors run/toy/seed-1/last.safetensors
}
no_files() { # a pipe and a device in a record's place do not hold the report up
  cp -r run odd
  rm odd/toy/seed-1/predictions.csv
  mkfifo odd/toy/seed-1/predictions.csv
  timeout 60 "$program" report odd 2>err
  grep -q 'not a regular file' err
  rm odd/toy/seed-1/metrics.jsonl
  ln -s /dev/zero odd/toy/seed-1/metrics.jsonl
  timeout 60 "$program" report odd 2>err || [ $? = 3 ]
  grep -q 'not a regular file' err
}
whole_report() { # FOLDER: all that its list names is there, and nothing unfinished
  local name
  while IFS= read -r name; do # where nothing is misclassified, its data are empty
    [ -s "$1/report/$name" ] || [[ $name = *.dat && -e $1/report/$name ]] ||
      { echo "no $name"; return 1; }
  done <"$1/report/plots/files.txt"
}
killed_report() { # the old one or the new one, whole; what is not its own is carried over
  cp -r run again
  "$program" report again
  echo mine >again/report/mine.txt
  echo mine >again/report/plots/mine.gp
  (ulimit -f 1; expect 6 "$program" report again) 2>err
  whole_report again
  for delay in 0 0.01 0.02 0.04 0.06 0.1 0.15 0.2 0.3 0.4; do
    "$program" report again &
    sleep $delay
    kill -9 $! 2>/dev/null || true
    wait $! || true
    whole_report again
  done
  mkdir "again/.report.$(hostname).4194999.tmp" # of a process that cannot be
  echo too >"again/.report.$(hostname).4194999.tmp/too.txt"
  "$program" report again
  whole_report again
  [ "$(cat again/report/mine.txt again/report/plots/mine.gp again/report/too.txt | tr '\n' ' ')" = "mine mine too " ]
  [ "$(ls -A again | tr '\n' ' ')" = "report toy " ]
}
quotes() {
  local name="a''b'''c\`d\$(e)\\"
  mkdir -p "quoted/$name"
  cp -r run/toy/seed-1 "quoted/$name"
  rm "quoted/$name/seed-1/run.json" # which tells another name
  "$program" report quoted 2>err
  lacks 'failed on' err
  if command -v gnuplot >/dev/null; then [ -s quoted/report/accuracy_by_seed.png ]; fi
}
weights() { tail -c 3000 "$1/seed-1/last.safetensors"; }
hostile_names() { # of files and folders: nothing is run, expanded or taken for an option
  local name long names
  printf -v long '%0150d' 0
  names=(' ' '-o' '--out' 'a b ' '%s%n%d' '<script src=x>' '&lt;"x"]]>' "';touch pwned;'" '*' '?[a]'
    '~' '$HOME' '`touch pwned`' '$(touch pwned)' '\n\t\' $'new\nline' $'\xff\xfe' 'ünïcödé' '{x}' "$long")
  mkdir names
  for name in "${names[@]}"; do
    cp toy.yaml "names/$name.yaml" # a run's folder has another kind of name
    expect 2 "$program" train "names/$name.yaml" --data data --device cpu --out names/none 2>err
    grep -q "cannot be the name of a run's folder" err
    [ ! -e names/none ]
    mkdir "names/data $name"
    cp data/* "names/data $name"
    train --out "names/in $name" --quiet --data "names/data $name"
    cmp <(weights "names/in $name/toy") <(weights run/toy)
    cp "names/in $name/toy/seed-1/last.safetensors" "names/$name.safetensors"
    (cd names && "$program" eval --device cpu --data "data $name" --logits "$name.csv" -- "$name.safetensors" >out)
    [ "$(wc -l <"names/$name.csv")" = 41 ]
    "$program" report "names/in $name" 2>err
    whole_report "names/in $name"
    lacks 'failed on\|left out' err
    lacks '<script src=x>' "names/in $name/report/index.html"
  done
  [ -z "$(find . -name pwned)" ]
}
only_into_out() { # nor does a name that a record tells lead elsewhere
  mkdir -p box/home box/tmp box/out
  cp -r data toy.yaml box
  cd box
  export HOME=$PWD/home TMPDIR=$PWD/tmp
  unset XDG_CACHE_HOME
  all_else() { # but the fonts that gnuplot's library has found
    find . \( -path ./out -o -path ./home/.cache/fontconfig \) -prune -o -type f -printf '%p %s %T@\n' | sort
  }
  all_else >../before
  train --out out --quiet
  train --out out --quiet --resume --epochs 3
  "$program" eval out/toy/seed-1/last.safetensors --data data --device cpu
  "$program" report out
  [ -s out/report/index.html ]
  sed -i 's|"name": *"toy"|"name": "../../evil"|' out/toy/seed-1/run.json
  grep -q evil out/toy/seed-1/run.json
  "$program" report out || [ $? = 3 ]
  all_else | cmp ../before -
  [ ! -e ../evil ] && [ ! -e evil ]
}

sanitized=$("$program" --version --verbose | grep -c sanitizers || true)
for test in closed_descriptors lost_reader full_output file_limit full_disks few_descriptors \
  small_stack little_memory devices_and_pipes its_own_input no_files killed_report quotes \
  hostile_names only_into_out; do
  case $sanitized:$test in
  1:little_memory | 1:small_stack)
    number=$((number + 1))
    echo "ok $number - surroundings::$test # SKIP sanitizers want more than these limits" >&3
    ;;
  *:full_disks)
    mkdir -p mounted
    if mount -t tmpfs -o size=64k none mounted 2>/dev/null; then
      umount mounted
      check $test $test
    else
      number=$((number + 1))
      echo "ok $number - surroundings::$test # SKIP no right to mount a small disk" >&3
    fi
    ;;
  *) check $test $test ;;
  esac
done
echo "1..$number" >&3
exit $failed
