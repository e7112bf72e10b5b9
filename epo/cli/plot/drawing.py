"""Drawing runs once, or again and again while they continue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List, Sequence

from epo.cli.past_runs.overview import is_running
from epo.cli.plot.figure import PANELS, draw, panels, save, save_numbers
from epo.cli.plot.groups import Group, Run, grouped, read_run
from epo.cli.plot.options import Files, Options, folder_of
from epo.cli.plot.published import COLUMN, PUBLISHED, Published
from epo.config import ConfigError
from epo.quoting import short_path
from epo.record.csv import header
from epo.record.names import headline
from epo.record.progress import short
from epo.runner.run_folder import RunFolder
from epo.validation import did_you_mean


def published(runs: Sequence[Run], names: Sequence[str]) -> List[Published]:
    """Give what papers report of the task of the runs.

    Raises:
        ConfigError: if there is nothing to put beside them.
    """
    tasks = sorted({run.task for run in runs})
    if len(tasks) > 1:
        way_out = f"the runs are of several tasks ({', '.join(tasks)}); draw one task at a time"
        raise ConfigError("bands", "true", way_out)
    if tasks[0] not in PUBLISHED:
        hint = did_you_mean(tasks[0], PUBLISHED)
        way_out = f"nothing is published of {tasks[0] or 'an unknown task'}{hint} (tasks: "
        raise ConfigError("bands", "true", f"{way_out}{', '.join(PUBLISHED)})")
    if COLUMN not in names:
        raise ConfigError("y", ",".join(names), f"published curves are of {COLUMN}; add it")
    return PUBLISHED[tasks[0]]


def default_columns(paths: Sequence[Path]) -> List[str]:
    """Name the columns of every task, and what the tasks of the runs tell best."""
    told: Dict[str, None] = {}
    for path in paths:
        folder = RunFolder(folder_of(path))
        spec = folder.read_spec()  # None: a run of an older version
        columns = dict.fromkeys(header(folder.metrics), 0.0)
        names = headline(spec.headline if spec else (), columns)
        told.update(dict.fromkeys(column for _, column in names))
    return [PANELS[0], *told, *PANELS[1:]]


def draw_once(options: Options, paths: Sequence[Path], files: Files) -> List[Group]:
    """Draw the runs as they are now and return what was drawn; nothing without any numbers."""
    names = options.columns or default_columns(paths)
    if options.bands and not options.columns:
        names = list(dict.fromkeys((PANELS[0], COLUMN, *names)))
    runs = [read_run(path, options.x, names, bool(options.columns)) for path in paths]
    groups = grouped(runs, options.group)
    of_papers = published(runs, names) if options.bands else []
    shown = panels(groups, options.x, names, of_papers)
    if not shown:
        return []
    figure = draw(shown, groups, options.x)
    for path in files.pictures:
        save(figure, path)
    save_numbers(shown, files.numbers)
    print(f"wrote {', '.join(short_path(path) for path in [*files.pictures, files.numbers])}")
    return groups


def watch(options: Options, paths: Sequence[Path], files: Files) -> None:
    """Draw whenever a table has grown, until no run goes on any more, or Ctrl-C."""
    folders = [RunFolder(folder_of(path)) for path in paths]
    seen: List[int] = []
    try:
        while True:
            # Asked before the tables are read: the last rows of a run that ends now are seen.
            goes_on = any(is_running(folder) for folder in folders)
            sizes = [_size(folder.metrics) for folder in folders]
            if sizes != seen and (all(sizes) or not goes_on):
                seen = sizes
                groups = draw_once(options, paths, files)
                if groups:
                    print(f"  {_reached(groups, options.x)}", flush=True)
            if not goes_on:
                return
            time.sleep(options.every_s)
    except KeyboardInterrupt:
        print("\nstopped; the files stay as they were drawn last")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reached(groups: Sequence[Group], x: str) -> str:
    """Return how far the runs are."""
    ends = {group.name: max(run.curves[x][-1] for run in group.runs) for group in groups}
    return ", ".join(f"{name} at {short(end)} {x}" for name, end in ends.items())
