#!/usr/bin/env bash
# test_slurm.sh PROGRAM [--tap=FILE]: a study in parts, as schedulers start them: a one-node Slurm of
# our own (its daemons run as long as this test does, in a folder of their own, and take nothing from
# a Slurm that is installed), Open MPI's mpirun and GNU parallel. Each gives the weights of a study
# that is not divided. What is not installed is skipped.
set -uo pipefail
program=$1
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 2 ]; then exec 3>&1; else exec 3>"${2#--tap=}"; fi
# shellcheck source=tests/support/toy_data.sh
source "$here/support/toy_data.sh"
PATH=$PATH:/usr/sbin
top=$(mktemp -d)
chmod 755 "$top" # munged, another user, has to get in
daemons=()

# Ends what was started here, by number, and waits for it.
clean_up() {
  local pid
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${daemons[@]}"; do
    for _ in {1..100}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null
  rm -rf "$top"
}
trap clean_up EXIT
cd "$top" || exit 1
number=0 failed=0

# check NAME TOOL COMMAND...: one test, skipped without the tool
check() {
  local name=slurm::$1 tool=$2
  shift 2
  number=$((number + 1))
  if ! command -v "$tool" >/dev/null; then
    echo "ok $number - $name # SKIP $tool is not installed (scripts/test.sh --all installs it)" >&3
    return
  fi
  "$@" >said 2>&1 # not in an 'if': set -e of the command would not count there
  if [ $? -eq 0 ]; then echo "ok $number - $name" >&3
  else
    echo "not ok $number - $name" >&3
    tail -n 40 said
    failed=1
  fi
}

# same OUT: all six runs are finished, with the weights of the study that was not divided
same() {
  local seed
  for seed in 1 2 3 4 5 6; do
    grep -q '"status": "finished"' "$1/toy/seed-$seed/run.json" || return 1
    cmp "whole/toy/seed-$seed/last.safetensors" "$1/toy/seed-$seed/last.safetensors" || return 1
  done
  "$program" report "$1" || return 1
}

study=(toy.yaml --data "$top/data" --device cpu --threads 1 --seeds 1-6)

# runs_of FILE: how many runs its process began
runs_of() { grep -c ': run [0-9]* of ' "$1"; }

# As root: munged as a user of its own, the others as root. As a user: all as that user.
start_slurm() {
  local host me as=() port=$((20000 + $$ % 20000))
  host=$(uname -n)
  host=${host%%.*} me=$(id -un)
  mkdir -p -m 755 munge state spool
  head -c 128 /dev/urandom >munge/key
  chmod 400 munge/key
  if [ "$(id -u)" -eq 0 ]; then
    chown -R munge munge
    as=(setpriv --reuid=munge --regid=munge --clear-groups)
  fi
  "${as[@]}" munged --foreground --socket="$top/munge/socket" --key-file="$top/munge/key" \
    --log-file="$top/munge/log" --pid-file="$top/munge/pid" --seed-file="$top/munge/seed" >munged.out 2>&1 &
  daemons+=($!)
  cat >slurm.conf <<C
ClusterName=normlab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$top/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0
ReturnToService=2
StateSaveLocation=$top/state
SlurmdSpoolDir=$top/spool
SlurmctldPidFile=$top/slurmctld.pid
SlurmdPidFile=$top/slurmd.pid
SlurmctldLogFile=$top/slurmctld.log
SlurmdLogFile=$top/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
C
  # From 23.11 slurmd looks for control groups, unless it is told not to.
  [[ $(slurmd -V) =~ \ (1|20|21|22|23)\. ]] || echo 'CgroupPlugin=disabled' >cgroup.conf
  export SLURM_CONF=$top/slurm.conf
  for _ in {1..100}; do
    [ ! -S munge/socket ] || break
    sleep 0.1
  done
  slurmctld -D >slurmctld.out 2>&1 &
  daemons+=($!)
  slurmd -D >slurmd.out 2>&1 &
  daemons+=($!)
  for _ in {1..150}; do
    [[ $(sinfo -h -o %T 2>/dev/null) != idle ]] || return 0
    sleep 0.2
  done
  tail -n 20 munged.out slurmctld.out slurmd.out
  return 1
}

# submit ARGUMENT...: a job, until it has ended ('sbatch --wait' looks every ten seconds)
submit() {
  local job i
  job=$(NORMLAB=$program sbatch --parsable "$@") || return 1
  for ((i = 0; i < 600; i++)); do
    [ -n "$(squeue -h -j "$job" 2>/dev/null)" ] || return 0
    sleep 0.2
  done
  squeue
  return 1
}

array_of_slurm() {
  local task
  start_slurm || return 1
  submit --array=1-4 --cpus-per-task=1 --output="$top/task-%a" "$here/../scripts/slurm.sbatch" \
    "${study[@]}" --out array || { cat task-*; return 1; }
  for task in "1 2" "2 2" "3 1" "4 1"; do # six runs dealt to four
    [ "$(runs_of "task-${task% *}")" -eq "${task#* }" ] || { cat task-*; return 1; }
  done
  same array
}

array_from_five_in_twos() {
  submit --array=5-9:2 --output="$top/odd-%a" "$here/../scripts/slurm.sbatch" "${study[@]}" --out odd ||
    { cat odd-*; return 1; }
  same odd
}

array_with_holes() {
  submit --array=1,2,4 --output="$top/holes-%a" "$here/../scripts/slurm.sbatch" "${study[@]}" --out holes ||
    return 1
  [ ! -e holes ] || return 1
  grep -q 'the array of Slurm has holes' holes-1
}

ranks_of_srun() {
  submit --ntasks=1 --output="$top/srun.log" --wrap \
    "srun '$program' train ${study[*]} --out srun --shard auto --no-report" || { cat srun.log; return 1; }
  [ "$(runs_of srun.log)" -eq 6 ] || { cat srun.log; return 1; }
  same srun
}

ranks_of_mpi() {
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 mpirun --oversubscribe -n 2 \
    "$program" train "${study[@]}" --out mpi --shard auto --no-report >mpi.log 2>&1 || { cat mpi.log; return 1; }
  [ "$(runs_of mpi.log)" -eq 6 ] && grep -q 'run 3 of 3' mpi.log || { cat mpi.log; return 1; }
  same mpi
}

gnu_parallel() {
  timeout 120 parallel --will-cite -j 2 "$program" train "${study[@]}" --out 'part-{}' --shard '{}/3' --no-report \
    ::: 1 2 3 || return 1
  for part in 1 2 3; do [ "$(find part-$part -name run.json | wc -l)" -eq 2 ] || return 1; done
  "$program" report part-1 part-2 part-3 --out parts || return 1
  timeout 120 parallel --will-cite -N0 -j 3 "$program" train "${study[@]}" --out shared --join ::: 1 2 3 || return 1
  same shared
}

toy_data
"$program" train "${study[@]}" --out whole --no-report >said 2>&1 || { cat said; exit 1; }
check array_of_slurm slurmctld array_of_slurm
check array_from_five_in_twos slurmctld array_from_five_in_twos
check array_with_holes slurmctld array_with_holes
check ranks_of_srun slurmctld ranks_of_srun
check ranks_of_mpi mpirun ranks_of_mpi
check gnu_parallel parallel gnu_parallel
echo "1..$number" >&3
exit "$failed"
