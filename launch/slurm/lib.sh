# Sourced by the job scripts: what every training job does, whatever its size.

# Stop with one line.
fail() {
  echo "error: $*" >&2
  exit 2
}

# The checkout: EPO, or where the job was submitted.
enter_checkout() {
  cd "${EPO:-$SLURM_SUBMIT_DIR}"
  [ -e train.py ] || fail "EPO=$PWD: there is no train.py; submit from the checkout, or export EPO=/path/to/it"
  python="${PYTHON:-$PWD/.venv/bin/python}"
  command -v "$python" >/dev/null || fail "PYTHON=$python: not found; run make, or export PYTHON=/path/to/python"
}

# The folder of the run, the same after every requeue: run_dir=... of the command, or the job's.
# It is on the file system that all nodes share.
settings_of_run() {
  local word name="$1"
  shift
  settings=("$@")
  for word in "$@"; do
    case "$word" in
      run_dir=*) name="" ;;
      resume=*) fail "$word: the job resumes by itself (resume=auto); leave it out" ;;
    esac
  done
  [ -z "$name" ] || settings+=("run_dir=runs/slurm/$name")
  settings+=(resume=auto)
}

# Run the step, a command with srun in front. Slurm warns this script with SIGUSR1 before the time
# is over; the step gets it, saves, and the job goes back into the queue. Preemption, scontrol
# requeue and a node that fails put it there by themselves.
run_and_requeue() {
  local code=0
  is_warned=false
  "$@" &
  step=$!
  trap 'is_warned=true; kill -s USR1 "$step" 2>/dev/null || true' USR1
  wait "$step" || code=$?
  while kill -0 "$step" 2>/dev/null; do # the trap ended the wait
    code=0
    wait "$step" || code=$?
  done
  trap - USR1
  if "$is_warned" && [ "$code" -ne 0 ]; then
    echo "saved before the time limit; back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60 # Slurm ends this script now
  fi
  exit "$code"
}
