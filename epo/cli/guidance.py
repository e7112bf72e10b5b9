"""What someone who has just started should read: the help text, and a line before a long run."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Dict, List, Sequence

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from epo.config import Config
from epo.quoting import shell

HELP_FLAGS = {"-h", "--help"}
GROUPS = ("task", "algo", "engine", "experiment")
"""Groups of `cfg/` that a command chooses from."""
WIDEST = 100
"""Columns of the help text at most."""
MARK = "$APP_CONFIG_GROUPS"
"""Where the text of `cfg/config.yaml` wants the groups."""
LIMITS = ("max_frames", "max_iterations", "max_minutes")


def help_text(config_dir: Path) -> str:
    """Return what `train.py --help` prints, as wide as the terminal.

    Hydra's own lists the schemas that yaml files build on, and folders that are no settings.

    Args:
        config_dir: absolute folder that holds `config.yaml`.
    """
    text = str(OmegaConf.load(config_dir / "config.yaml").hydra.help.template)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    lines = []
    for group, names in options(config_dir).items():
        line = f"{group}: {', '.join(names)}"
        lines += textwrap.wrap(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    return text.replace(MARK, "\n".join(lines))


def options(config_dir: Path) -> Dict[str, List[str]]:
    """Return the groups that a command can choose from, each with its options."""
    found: Dict[str, List[str]] = {}
    for group in GROUPS:
        folder, store = config_dir / group, ConfigStore.instance()
        names = {
            file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml")
        }
        if group in store.repo:  # tasks of installed packages have no file
            names |= {name[: -len(".yaml")] for name in store.list(group) if name.endswith(".yaml")}
        chosen = sorted(name for name in names if not name.startswith("base"))
        if len(chosen) > 1:
            found[group] = chosen
    return found


def meant(word: str, config_dir: Path) -> List[str]:
    """Return `group=word` for every group that has an option of this name."""
    return [f"{group}={word}" for group, names in options(config_dir).items() if word in names]


def before(cfg: Config, begin: Sequence[str], settings: Sequence[str]) -> List[str]:
    """Return what to know before a run begins: how it ends, and where a beginner should begin.

    Args:
        cfg: resolved configuration.
        begin: words that begin such a command.
        settings: those that were given.
    """
    lines = []
    if all(getattr(cfg, name) is None for name in LIMITS):
        lines.append("the run ends with Ctrl-C, which saves; max_minutes=60 would end it by itself")
    if not settings:
        small = shell([*begin, "experiment=laptop"])
        lines.append(f"these are the defaults; for ten minutes on a CPU: {small}")
        lines.append(f"everything that can be set: {shell([*begin, '--help'])}")
    return lines
