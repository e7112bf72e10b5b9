"""The verb: a table of runs, `diff` of two of them, `clean` of those that came to nothing."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from epo.cli import arguments
from epo.cli.past_runs.overview import RUNNING, STATES, Overview, find, read
from epo.config import ConfigError
from epo.dotted import flat
from epo.program import as_typed, verbs
from epo.quoting import shell, short_path
from epo.record.progress import clock, short
from epo.runner.run_folder import ROOT, RunFolder
from epo.validation import did_you_mean

USAGE = """usage: python -m epo runs [FOLDER] [state=NAME] [task=NAME] [algo=NAME] [tag=NAME]
       python -m epo runs diff RUN RUN
       python -m epo runs clean [FOLDER] [iterations=10] [yes=true]

  FOLDER      where runs are looked for, all below it; default runs
  state       only runs that are running, finished, interrupted, failed or died (killed: nobody
              said how they ended); several with commas between them
  task, algo, tag   only runs of this task, algorithm or tag (record.tags)
  json        json=true: one line of JSON per run
  diff        the settings in which two runs differ
  clean       delete runs of fewer than `iterations` iterations, after a question; never one that
              trains or that holds another run. yes=true: without the question
"""
WIDTH_OF_FILES = 160
"""Columns of a table that is not written to a terminal."""


@dataclass
class ListOptions:
    """Which runs are listed, and how."""

    state: str = ""
    task: str = ""
    algo: str = ""
    tag: str = ""
    json: bool = False


@dataclass
class CleanOptions:
    """Which runs are deleted."""

    iterations: int = 10
    """Runs that came less far."""
    yes: bool = False
    """Delete them without a question."""


def main(words: Sequence[str]) -> None:
    """List, compare or delete runs.

    Raises:
        ConfigError: if a folder is none, a state is unknown, or nobody can be asked.
    """
    if {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        return
    verbs = {"diff": diff, "clean": clean}
    if words and words[0] in verbs:
        verbs[words[0]](words[1:])
    else:
        show(words)


def show(words: Sequence[str]) -> None:
    """Print a table, or JSON, of the runs below a folder."""
    options, rest = arguments.split(words, ListOptions())
    root = _root(rest)
    wanted = [state for state in options.state.split(",") if state]
    for state in wanted:
        if state not in STATES:
            way_out = f"unknown{did_you_mean(state, STATES)} (states: {', '.join(STATES)})"
            raise ConfigError("state", state, way_out)
    found = [read(folder) for folder in find(root)]
    chosen = [run for run in found if _is_wanted(run, options, wanted)]
    if options.json:
        for run in chosen:
            print(_json(run))
    elif chosen:
        print_table(chosen)
    elif found:
        print(f"none of {len(found)} runs below {root} is like that")
    else:
        begin = shell([*verbs(), "train", "experiment=laptop"])
        print(f"no runs below {root} yet; begin one: {begin}")


def diff(words: Sequence[str]) -> None:
    """Print the settings in which two runs differ."""
    if len(words) != 2:
        raise ConfigError("diff", " ".join(words), "name two run folders: runs diff RUN RUN")
    settings = []
    for word in words:
        config = RunFolder(Path(word)).read_config()
        if config is None:
            raise ConfigError("run", word, "has no readable config.yaml; name a run folder")
        settings.append(flat(config))
    names = sorted(name for name in {*settings[0], *settings[1]} if name != "run_dir")
    unlike = [name for name in names if _value(settings[0], name) != _value(settings[1], name)]
    if not unlike:
        print("the same settings")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("setting", *(short_path(word) for word in words)):
        table.add_column(Text(header), overflow="fold")
    for name in unlike:
        table.add_row(name, *(Text(_value(tree, name)) for tree in settings))
    _console().print(table)


def clean(words: Sequence[str]) -> None:
    """Delete runs that never came far."""
    options, rest = arguments.split(words, CleanOptions())
    root = _root(rest)
    folders = [folder.path for folder in find(root)]
    runs = [read(RunFolder(path)) for path in folders]
    doomed = [
        run
        for run in runs
        if run.iteration < options.iterations
        and run.state != RUNNING
        and not any(run.path in other.parents for other in folders)
    ]
    if not doomed:
        print(f"no run below {root} has fewer than {options.iterations} iterations")
        return
    print_table(doomed)
    if not options.yes and not _agrees(f"delete these {len(doomed)} runs?"):
        print("nothing was deleted")
        return
    for run in doomed:
        # It may have been resumed while the question stood there.
        if read(RunFolder(run.path)).state == RUNNING:
            print(f"{short_path(run.path)} trains now; it stays")
            continue
        try:
            shutil.rmtree(str(run.path))
        except OSError as error:
            raise ConfigError("run", run.path, f"cannot be deleted ({error.strerror})") from error
    print("done")


def print_table(runs: Sequence[Overview]) -> None:
    """Print one line per run; what went wrong stands at its end."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("run", "state", "task", "algo"):
        table.add_column(header, overflow="fold")
    for header in ("frames", "frames/s", "time", "return", "success", "fitness"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("tags", overflow="fold")
    table.add_column("last warning", overflow="fold")
    for run in runs:
        time = clock(run.wall_s) if math.isfinite(run.wall_s) else "–"
        numbers = (run.episode_return, run.success, run.fitness)
        table.add_row(
            *(Text(text) for text in (short_path(run.path), run.state, run.task, run.algo)),
            *(short(run.frames), short(run.fps), time, *map(short, numbers)),
            *(Text(text) for text in (", ".join(run.tags), run.error or run.warning)),
        )
    _console().print(table)


def _root(rest: Sequence[str]) -> Path:
    """Return the folder that is named, or else `runs`.

    Raises:
        ConfigError: if it is none, or there are several.
    """
    for word in rest[1:] if rest and "=" not in rest[0] else rest:
        name, _, value = word.partition("=")
        raise ConfigError("argument", f"{name}={value}" if value else name, "unknown; see --help")
    root = Path(rest[0]) if rest else ROOT
    if rest and not root.is_dir():
        raise ConfigError("folder", root, "there is no such folder; name one that holds runs")
    return root


def _is_wanted(run: Overview, options: ListOptions, states: List[str]) -> bool:
    return (
        (not states or run.state in states)
        and options.task in ("", run.task)
        and options.algo in ("", run.algo)
        and (not options.tag or options.tag in run.tags)
    )


def _json(run: Overview) -> str:
    fields = {**run._asdict(), "path": str(run.path)}
    known = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
    return json.dumps(known, ensure_ascii=False)


def _value(tree: dict, name: str) -> str:
    return str(tree[name]) if name in tree else "–"


def _agrees(question: str) -> bool:
    """Ask on the terminal.

    Raises:
        ConfigError: if there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise ConfigError(
            "clean", "no terminal", "there is no terminal to ask; add yes=true to delete"
        )
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)
