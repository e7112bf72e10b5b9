"""What someone who has just started should read: the help text, and a line before a long run."""

from __future__ import annotations

import shutil
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from epo.cli.search_path import for_hydra
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


def help_text(config_dir: Path, words: Sequence[str] = ()) -> str:
    """Return what `train.py --help` prints, as wide as the terminal.

    Hydra's own lists the schemas that yaml files build on, and folders that are no settings.

    Args:
        config_dir: absolute folder that holds `config.yaml`.
        words: of the command line, settled; their search path is looked through, too.
    """
    text = str(OmegaConf.load(config_dir / "config.yaml").hydra.help.template)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    lines = []
    for group, names in options(config_dir, words).items():
        line = f"{group}: {', '.join(names)}"
        lines += textwrap.wrap(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    return text.replace(MARK, "\n".join(lines))


def options(config_dir: Path, words: Sequence[str] = ()) -> Dict[str, List[str]]:
    """Return the groups that a command can choose from, each with its options.

    Args:
        config_dir: absolute folder that holds `config.yaml`.
        words: of the command line, settled; their search path is looked through, too.
    """
    begin = nullcontext()
    if not GlobalHydra.instance().is_initialized():
        begin = initialize_config_dir(str(config_dir), version_base="1.3")
    with begin:
        found = {group: options_of(group, words) for group in GROUPS}
    return {group: names for group, names in found.items() if len(names) > 1}


def options_of(group: str, words: Sequence[str]) -> List[str]:
    """Return what can be chosen of a group; Hydra has been initialized.

    That is files of `cfg/` and of the search path, and what registered families bring.
    """
    loader, path = GlobalHydra.instance().config_loader(), for_hydra(words)

    def below(folder: str) -> Iterator[str]:
        for name in loader.get_group_options(folder, ObjectType.CONFIG, overrides=path):
            if not name.startswith("base"):  # schemas that yaml files build on
                yield f"{folder}/{name}"[len(group) + 1 :]
        for name in loader.get_group_options(folder, ObjectType.GROUP, overrides=path):
            yield from below(f"{folder}/{name}")

    return sorted(below(group))


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
