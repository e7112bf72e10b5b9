"""What is drawn of which runs, and where the files go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from epo.cli.arguments import split
from epo.config import ConfigError
from epo.record.csv import METRICS

USAGE = """usage: python -m epo plot RUN [RUN...] [y=NAME,NAME...] [--bands] [watch=true]

  RUN      run folder, or its metrics.csv
  y        columns to draw, one panel each; default: the leader's and the population's progress
  x        column to draw over: frames, iteration or wall_s; default frames
  group    false: one line per run; default true: runs that differ in their seed alone become one
           line, the interquartile mean with its 95 % bootstrap band
  --bands  the published curves of the task beside yours (column leader/successes, x=frames)
  out      file to write; its ending chooses the format (png, pdf, svg). Default: curves.png and
           curves.svg in the run folder, for several runs in the folder that holds them all.
           The numbers that are drawn go into a .csv of the same name
  watch    true: draw again while the runs go on, until they end; Ctrl-C stops it
  every_s  shortest time between two drawings, s; default 10
"""
NAME = "curves"
FORMATS = (".png", ".svg")
AXES = ("frames", "iteration", "wall_s")


@dataclass
class Options:
    """What is drawn and where; `USAGE` explains the fields."""

    y: Optional[str] = None
    x: str = "frames"
    group: bool = True
    bands: bool = False
    out: Optional[str] = None
    watch: bool = False
    every_s: float = 10.0

    @property
    def columns(self) -> List[str]:
        """Columns that were asked for; none: those of `figure.PANELS`."""
        return [name.strip() for name in self.y.split(",")] if self.y else []


class Files(NamedTuple):
    """Where a figure goes: pictures, and the numbers behind them."""

    pictures: List[Path]
    numbers: Path


def read(words: Sequence[str]) -> Tuple[Options, List[Path]]:
    """Read the command line.

    Returns:
        The options, and the run folders or tables that are drawn.

    Raises:
        ConfigError: at an impossible option.
    """
    words = ["bands=true" if word == "--bands" else word for word in words]
    options, others = split(words, Options())
    for word in others:
        if word.startswith("-"):
            raise ConfigError("flag", word, "unknown; --help shows what can be set")
    if not options.every_s > 0.0:
        raise ConfigError("every_s", options.every_s, "use a positive number of seconds")
    if options.bands and options.x != "frames":
        raise ConfigError("x", options.x, "published curves are over frames; leave out --bands")
    return options, [Path(word) for word in others]


def folder_of(path: Path) -> Path:
    """Give the run folder that a path on the command line means."""
    return path.parent if path.name == METRICS else path


def common_folder(paths: Sequence[Path]) -> Path:
    """Give the run folder, or the deepest folder that holds all of several."""
    folders = [os.path.abspath(folder_of(path)) for path in paths]
    return Path(os.path.commonpath(folders))


def files(options: Options, paths: Sequence[Path]) -> Files:
    """Decide where the figure goes.

    Raises:
        ConfigError: if the name has no ending.
    """
    if options.out is None:
        base = common_folder(paths) / NAME
        return Files([base.with_suffix(ending) for ending in FORMATS], base.with_suffix(".csv"))
    out = Path(options.out)
    if out.suffix in ("", ".csv"):
        raise ConfigError("out", out, "end it in .png, .svg or .pdf; the .csv comes with it")
    return Files([out], out.with_suffix(".csv"))
