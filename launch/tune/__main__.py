"""The command: search, confirm on new seeds, write page and preset."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from epo.cli.arguments import check_least, split
from epo.cli.compose import one_line_errors
from epo.config import ConfigError
from epo.cores import granted_cores
from epo.quoting import shell, short_path
from epo.terminal import guard_streams, say
from epo.validation import get
from launch.tune import definition

USAGE = """usage: python -m launch.tune NAME [trials=40] [workers=2] [confirm=5] [name=value...]

  NAME        a file of cfg/tune, or the path of another one
  trials      trials in all, those that are there included; default: the search's
  workers     trials at a time, one thread each; default: one per core; 0: only write the page
  confirm     new seeds on which the settings found are compared with those before; default 5
  runs        folder of the trials and of Optuna's storage; default runs/tune/NAME
  results     folder of the page; default docs/results/tune/NAME
  preset      file of the settings found; default cfg/experiment/tune/NAME.yaml
  name=value  any setting of `python train.py`, for all trials

The same command again goes on: trials that were interrupted resume. Several commands, also on
several machines that share the folder, work on one search.
"""


@dataclass
class TuneOptions:
    """How a search is carried out."""

    trials: Optional[int] = None
    workers: Optional[int] = None
    confirm: int = 5
    runs: Optional[str] = None
    results: Optional[str] = None
    preset: Optional[str] = None


def main(arguments: Sequence[str]) -> int:
    """Search and write what was found; return the exit code.

    Raises:
        ConfigError: at a wrong setting, before anything runs.
    """
    options, others = split(arguments, TuneOptions())
    words = [word for word in others if "=" not in word]
    if not words or {"-h", "--help"} & set(words):
        print(USAGE + f"\nsearches: {', '.join(definition.names())}")
        return 0
    name, *rest = words
    if rest:
        raise ConfigError("argument", rest[0], "one search at a time; settings are name=value")
    check_least(options, trials=1, workers=0, confirm=0)
    tune = definition.load(name)
    tune.num_trials = options.trials or tune.num_trials
    extra = [word for word in others if "=" in word]
    cfg = definition.configuration(tune, extra)
    _check_package()
    from launch.tune import report, storage
    from launch.tune.confirm import confirm
    from launch.tune.search import Search

    stem = Path(name).stem
    root = Path(options.runs or f"runs/tune/{stem}")
    study = storage.open_study(tune, root, {"extra": extra})
    if not study.trials:
        study.enqueue_trial(definition.defaults(tune, cfg))
    num_workers = granted_cores() if options.workers is None else options.workers
    if num_workers:
        code = Search(study, tune, root, extra, num_workers).run()
        if code:
            return code
    found = report.best(study)
    code, confirmation = confirm(tune, root, extra, found.params, options.confirm, num_workers)
    if code:
        return code
    preset = Path(options.preset) if options.preset else report.preset_path(stem)
    report.write_preset(preset, tune, found.params)
    folder = Path(options.results or f"docs/results/tune/{stem}")
    command = shell(["python", "-m", "launch.tune", *arguments])
    before = {setting: get(cfg, setting) for setting in tune.space}
    report.write_page(folder, stem, tune, study, before, confirmation, command, _machine())
    say(f"wrote {short_path(folder / report.README)} and {short_path(preset)}")
    return 0


def _check_package() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        way_out = "the package is missing: pip install -e '.[tune]'"
        raise ConfigError("optuna", "not installed", way_out) from error


def _machine() -> str:
    import platform

    import torch

    cores = granted_cores()
    return (
        f"Run on {cores} CPU cores, Python {platform.python_version()}, torch {torch.__version__}."
    )


if __name__ == "__main__":
    guard_streams()
    with one_line_errors():
        sys.exit(main(sys.argv[1:]))
