"""Where a run comes from: its command, the state of the code, versions and machine."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy
import torch

import epo
from epo import program
from epo.cores import granted_cores
from epo.quoting import shell
from epo.redact import redact, redact_words

SIMULATORS = ("mujoco", "mujoco-warp", "warp-lang", "isaacgym", "gymnasium")
PEERS = ("rl_games",)
"""Learners of others that may train a run."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
SOURCE_ROOT = Path(epo.__file__).resolve().parent.parent
GIT_TIMEOUT_S = 10.0
MAX_DIFF_BYTES = 1_000_000


class GitState(NamedTuple):
    """Commit of the code, the changes that are in no commit, and whether there are any."""

    commit: str
    diff: str
    untracked: List[str]
    is_changed: bool = False


def command_line() -> str:
    """Return the command of this process, without secrets, as a line that works from any folder."""
    words = [*program.absolute(), *redact_words(program.started().settings)]
    return f"cd {shlex.quote(os.getcwd())} && {shell(words)}"


def module_command(module: str, *arguments: str) -> str:
    """Return `python -m <module> ...` as a line that works from any folder."""
    path = [str(SOURCE_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    words = [sys.executable, "-m", module, *arguments]
    where = f"cd {shlex.quote(os.getcwd())} && PYTHONPATH="
    return f"{where}{shlex.quote(os.pathsep.join(filter(None, path)))} {shell(words)}"


def describe_session(git: Optional[GitState]) -> str:
    """Return the paragraph of `command.txt` about one session of a run."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    lines = [f"# {now} on {platform.node()}"]
    if git is None:
        lines.append("# not in a git checkout")
    else:
        kept = "see git.diff" if git.diff else "not kept: record.git_diff=false"
        state = f"with changes, {kept}" if git.is_changed else "without changes"
        lines.append(f"# commit {git.commit} {state}")
        if git.untracked:
            lines.append(f"# untracked: {' '.join(git.untracked)}")
    return "\n".join([*lines, command_line(), ""])


def git_commit(root: Path = SOURCE_ROOT) -> Optional[GitState]:
    """Read the commit alone, for runs that keep no diff."""
    found = git_state(root)
    return None if found is None else found._replace(diff="")


def git_state(root: Path = SOURCE_ROOT) -> Optional[GitState]:
    """Read the state of the checkout whose top folder is `root`; None if there is none.

    The diff is without secrets and not longer than `MAX_DIFF_BYTES`.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    # Installed below someone else's checkout, the package has no commit of its own.
    if top is None or commit is None or Path(top.strip()).resolve() != root.resolve():
        return None
    untracked = _git(root, "ls-files", "--others", "--exclude-standard") or ""
    diff = _git(root, "diff", "HEAD") or ""
    # Cut first: a secret ends with its line.
    return GitState(commit.strip(), redact(shortened(diff)), untracked.splitlines(), bool(diff))


def shortened(diff: str) -> str:
    """Cut a diff after `MAX_DIFF_BYTES`, at the end of a line, and say so in the last one."""
    content = diff.encode("utf-8")
    if len(content) <= MAX_DIFF_BYTES:
        return diff
    kept = content[:MAX_DIFF_BYTES].rpartition(b"\n")[0].decode("utf-8", errors="ignore")
    return f"{kept}\n# cut here: {len(content):,} bytes, {MAX_DIFF_BYTES:,} are kept\n"


def versions(device: str, extra: Mapping[str, str]) -> Dict[str, Any]:
    """Return what the numbers of a run depend on beside its configuration.

    Args:
        device: torch device of the run.
        extra: simulator packages and their versions (`EnvSpec.versions`).
    """
    return {
        "python": platform.python_version(),
        "epo": epo.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "simulators": {**_versions_of(SIMULATORS), **extra},
        "peers": _versions_of(PEERS),
        "platform": platform.platform(),
        "device": device_name(device),
        "cuda": torch.version.cuda if torch.device(device).type == "cuda" else None,
        "cpu_cores_granted": granted_cores(),
        "torch_threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


def device_name(device: str) -> str:
    """Name the hardware, such as `cuda: NVIDIA H100 80GB HBM3`."""
    kind = torch.device(device).type
    if kind == "cuda":
        return f"{device}: {torch.cuda.get_device_name(torch.device(device))}"
    return f"{device}: {_cpu_model()}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _versions_of(packages: Sequence[str]) -> Dict[str, str]:
    """Return the versions of those that are installed."""
    found = {package: _installed(package) for package in packages}
    return {package: version for package, version in found.items() if version}


def _installed(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> Optional[str]:
    """Run git in `root`; None if it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace")
