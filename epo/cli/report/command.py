"""The verb: read the runs, draw everything, write one page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from epo.cli import arguments
from epo.cli.plot.options import common_folder, folder_of
from epo.cli.progress import progress
from epo.config import ConfigError
from epo.program import as_typed
from epo.quoting import short_path
from epo.record.files import write_text

USAGE = """usage: python -m epo report RUN [RUN...] [metric=leader/episode_return] [out=FILE.html]

  RUN      run folder, or its metrics.csv; also of a run that goes on
  metric   column that runs are compared by, at equal frames; default leader/episode_return
  out      page to write; default report.html in the run folder, for several runs in the folder
           that holds them all

The page is one file without links to the network. Runs that differ in their seed alone are one
group; groups are compared with the first one by the tests of `python -m epo study`.
"""
NAME = "report.html"


@dataclass
class Options:
    """What the page is about; `USAGE` explains the fields."""

    metric: str = "leader/episode_return"
    out: Optional[str] = None


def main(words: Sequence[str]) -> None:
    """Write the page and say where it is.

    Raises:
        ConfigError: if a run or column is missing, or the page cannot be written.
    """
    if not words or {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        return
    options, others = arguments.split(words, Options())
    for word in others:
        if word.startswith("-") or ("=" in word and not Path(word).exists()):
            raise ConfigError("argument", word, "unknown; --help shows what can be set")
    if not others:
        raise ConfigError("run", "(none)", "name a run folder")
    paths = list({folder_of(Path(word)): None for word in others})
    out = Path(options.out) if options.out else common_folder(paths) / NAME
    if out.suffix != ".html":
        raise ConfigError("out", out, "its name must end in .html")
    # Imports torch: what came before answered at once.
    from epo.cli.report.page import page

    with progress("report", len(paths) + 1) as tick:
        text = page(paths, options.metric, tick)
    try:
        write_text(out, text)
    except OSError as error:
        way_out = f"cannot be written ({error.strerror}); choose another out=<file>.html"
        raise ConfigError("out", out, way_out) from error
    print(f"wrote {short_path(out)} ({len(text.encode()) / 1e6:.1f} MB); open it in a browser")
