"""The verb: what is drawn, and where it goes."""

from __future__ import annotations

from typing import Sequence

from epo.cli.plot import options as plot_options
from epo.cli.plot.options import USAGE
from epo.config import ConfigError
from epo.program import as_typed


def main(words: Sequence[str]) -> None:
    """Draw the runs and say where the figure is.

    Raises:
        ConfigError: if a run or column is missing, or the figure cannot be written.
    """
    if not words or {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        return
    options, paths = plot_options.read(words)
    if not paths:
        raise ConfigError("run", "(none)", "name a run folder")
    paths = list({plot_options.folder_of(path): path for path in paths}.values())
    files = plot_options.files(options, paths)
    # Imports torch: what came before answered at once.
    from epo.cli.plot.drawing import draw_once, watch

    if options.watch:
        watch(options, paths, files)
    else:
        if not draw_once(options, paths, files):
            way_out = "there is nothing to draw yet: no column has numbers"
            raise ConfigError("plot", files.pictures[0], way_out)
