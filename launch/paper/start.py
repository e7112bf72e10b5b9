"""Start the runs that are left: on the GPUs of this machine, or as jobs of Slurm."""

from __future__ import annotations

import shutil
import subprocess
from typing import Dict, List, Mapping, Sequence, Set

from epo.cli.environment import CONFIG_DIR
from epo.cli.study.execution import Execution
from epo.cli.sweep import slots
from epo.config import ConfigError
from epo.cores import granted_cores
from epo.terminal import say
from launch.paper.campaign import Run

BUSY_SHARE = 0.1
"""Share of a GPU's memory that others may hold."""
SCRIPT = CONFIG_DIR.parent / "launch" / "slurm" / "single.sbatch"
METRIC = "leader/successes"


def free_gpus(given: Sequence[str]) -> List[str]:
    """Return the GPUs to use: those that are named, or all.

    Raises:
        ConfigError: if one of them is not here, or busy.
    """
    known = {row[0]: row for row in slots.query_gpus("index", "memory.used", "memory.total")}
    wanted = list(given) or slots.gpus()
    if not wanted:
        way_out = "there is no GPU here; devices=cpu runs on the CPU, where=slurm on a cluster"
        raise ConfigError("devices", "auto", way_out)
    for name in wanted:
        if name not in known:
            raise ConfigError("devices", name, f"no such GPU here ({', '.join(known) or 'none'})")
        used, total = (float(cell) for cell in known[name][1:])
        if used > BUSY_SHARE * total:
            way_out = f"busy: {used / 1024:.1f} of {total / 1024:.1f} GiB are in use; wait, or "
            way_out += "name others: devices=<index>,..."
            raise ConfigError("devices", name, way_out)
    return wanted


def shares(devices: Sequence[str]) -> List[Dict[str, str]]:
    """Return what every run at a time gets: one GPU and its part of the cores, or all cores."""
    if list(devices) == ["cpu"]:
        return [{"CUDA_VISIBLE_DEVICES": ""}]
    threads = max(1, granted_cores() // len(devices))
    return [{"CUDA_VISIBLE_DEVICES": d, "OMP_NUM_THREADS": str(threads)} for d in devices]


def run_here(runs: Sequence[Run], environments: Sequence[Mapping[str, str]], retries: int) -> int:
    """Carry the runs out, one per share at a time; what dies is started again.

    Returns:
        0, 1 if a run failed, 128 plus the number of a signal.
    """
    todo = list(runs)
    failures: Dict[str, str] = {}
    for attempt in range(retries + 1):
        work = Execution(todo, len(environments), METRIC, environments)
        code = work.run()
        if code:
            return code
        failures = work.failures
        # A wrong setting stays wrong.
        todo = [run for run in todo if run.name in failures and not _is_refused(run)]
        if not todo:
            break
        if attempt < retries:
            say(f"starting {len(todo)} again, which failed: {', '.join(r.name for r in todo)}")
    return 1 if failures else 0


def submit(runs: Sequence[Run], options: Sequence[str]) -> int:
    """Put the runs that are not there into Slurm's queue and return how many.

    Args:
        runs: those that are left.
        options: of sbatch.

    Raises:
        ConfigError: if there is no Slurm, or it refuses a job.
    """
    if shutil.which("sbatch") is None:
        way_out = "there is no sbatch here; start it on a login node, or use where=local"
        raise ConfigError("where", "slurm", way_out)
    queued = in_queue()
    todo = [run for run in runs if job_name(run) not in queued]
    for run in todo:
        arguments = [line for line in run.arguments if not line.startswith("resume=")]
        command = ["sbatch", "--parsable", f"--job-name={job_name(run)}", *options]
        done = subprocess.run(
            [*command, str(SCRIPT), *arguments],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ConfigError("slurm", " ".join(options), done.stderr.strip() or "sbatch fails")
        say(f"job {done.stdout.strip()}: {run.name}")
    return len(todo)


def in_queue() -> Set[str]:
    """Return the names of the user's jobs that wait or run."""
    done = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%j"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return set(done.stdout.split())


def job_name(run: Run) -> str:
    """Name the run's job; the campaign's other runs are told from it."""
    return f"epo-{run.name}"


def _is_refused(run: Run) -> bool:
    """Return whether train.py refused the command: it left no run."""
    return not run.folder.config.is_file()
