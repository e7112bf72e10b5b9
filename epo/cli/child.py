"""A run as a process of train.py: how it is started, and why it failed."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Mapping, Optional, Sequence

from epo.cli.environment import CONFIG_DIR
from epo.config import ConfigError
from epo.program import training

TRAIN = training(CONFIG_DIR.parent)
"""Words of a process that trains."""
OUTPUT = "output.txt"
"""What a run prints, in its folder."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def start(
    arguments: Sequence[str],
    folder: Path,
    environment: Optional[Mapping[str, str]] = None,
    option: str = "runs",
    torchrun: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start train.py; what it prints goes to `OUTPUT` in its folder.

    Args:
        arguments: overrides, the folder included.
        folder: of the run.
        environment: variables beside those of this process.
        option: what chose the folder, for the message.
        torchrun: words between Python and train.py, if several processes are to learn.

    Raises:
        ConfigError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / OUTPUT, "wb") as output:
            return subprocess.Popen(
                [TRAIN[0], *torchrun, *TRAIN[1:], *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another {option}="
        raise ConfigError(option, folder, way_out) from error


def reason(folder: Path, code: int) -> str:
    """Say why a run failed: its last error, or else its last line and the code of its process."""
    path, lines = folder / OUTPUT, []
    with suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1][len("error: ") :]
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"code {code}, {last} ({path})"
