"""Where numbers and videos of a run can go."""

from __future__ import annotations

import importlib.util
import netrc
import os
from pathlib import Path
from typing import List
from urllib.parse import urlsplit

from epo.cli.doctor.finding import BAD, OFF, OK, Check, Finding


def wandb() -> Finding:
    """Return whether Weights & Biases would start."""
    name = "Weights & Biases"
    if importlib.util.find_spec("wandb") is None:
        fix = "only record.wandb=online or offline needs it: pip install 'epo[wandb]'"
        return Finding(name, OFF, "not installed", fix)
    if os.environ.get("WANDB_API_KEY"):
        return Finding(name, OK, "logged in by WANDB_API_KEY")
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    if _has_login(host):
        return Finding(name, OK, f"logged in to {host}")
    fix = "for record.wandb=online: wandb login; record.wandb=offline needs no login"
    return Finding(name, OFF, f"installed, not logged in to {host}", fix)


def video() -> Finding:
    """Return whether `play` can write videos."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return Finding("video", OFF, "no ffmpeg", "for play: pip install 'epo[video]'")
    import imageio_ffmpeg

    try:
        version = imageio_ffmpeg.get_ffmpeg_version()
    except (OSError, RuntimeError) as error:
        return Finding("video", BAD, str(error), "pip install --force-reinstall imageio-ffmpeg")
    return Finding("video", OK, f"ffmpeg {version}")


def _has_login(host: str) -> bool:
    """Return whether the user's netrc file, where `wandb login` leaves the key, knows the host."""
    path = os.environ.get("NETRC") or next(
        (p for p in (Path.home() / ".netrc", Path.home() / "_netrc") if p.exists()), None
    )
    try:
        return path is not None and netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


CHECKS: List[Check] = [wandb, video]
