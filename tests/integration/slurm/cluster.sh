#!/usr/bin/env bash
# A Slurm cluster of two nodes on this machine, as root, in a folder of its own.
#   cluster.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#   cluster.sh stop FOLDER
# It needs Debian's slurm-wlm and munge: apt install --no-install-recommends slurm-wlm munge
set -euo pipefail

fail() {
  echo "cluster: $*" >&2
  exit 3
}

[ $# -eq 2 ] || fail "usage: cluster.sh start|stop FOLDER"
folder="$(mkdir -p "$2" && cd "$2" && pwd)"
PATH="$PATH:/usr/sbin:/sbin"

start() {
  [ "$(id -u)" = 0 ] || fail "it needs root"
  for program in munged slurmctld slurmd sbatch scontrol; do
    command -v "$program" >/dev/null || fail "no $program: apt install slurm-wlm munge"
  done
  mkdir -p "$folder"/{state,n1,n2,log,munge}
  chmod 700 "$folder/munge"
  dd if=/dev/urandom bs=1 count=1024 of="$folder/munge/key" status=none
  chmod 400 "$folder/munge/key"
  # The socket is for everybody, the key is not.
  mkdir -p -m 755 "$folder/socket"
  munged --force --key-file="$folder/munge/key" --socket="$folder/socket/munge" \
    --pid-file="$folder/munge/pid" --log-file="$folder/log/munged" --seed-file="$folder/munge/seed"
  cat >"$folder/slurm.conf" <<CONF
ClusterName=epo
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/socket/munge,cred_expire=5
CredType=cred/munge
SlurmctldPort=$((20000 + $$ % 20000))
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n/pid
SlurmdSpoolDir=$folder/%n
StateSaveLocation=$folder/state
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
KillWait=60
MinJobAge=600
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((40001 + $$ % 20000)) CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((40002 + $$ % 20000)) CPUs=2 RealMemory=4000
PartitionName=test Nodes=n1,n2 Default=YES MaxTime=60 State=UP
CONF
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld
  slurmd -N n1
  slurmd -N n2
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T --nodes=n1,n2 2>/dev/null | sort -u)" != idle ] || return 0
    sleep 1
  done
  sinfo >&2 || true
  tail -n 5 "$folder"/log/* >&2
  fail "the nodes do not become idle within 60 s"
}

stop() {
  local file
  export SLURM_CONF="$folder/slurm.conf"
  scancel --full --signal=KILL --state=RUNNING 2>/dev/null || true
  scancel --state=PENDING 2>/dev/null || true
  for file in "$folder"/n1/pid "$folder"/n2/pid "$folder/slurmctld.pid" "$folder/munge/pid"; do
    [ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
  done
}

case "$1" in
  start | stop) "$1" ;;
  *) fail "$1: unknown; use start or stop" ;;
esac
