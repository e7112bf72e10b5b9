"""The verb: build a run, let it train for some seconds, say what it takes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import List, Sequence, Tuple

from epo.cli import arguments, environment
from epo.config import Config, ConfigError
from epo.program import as_typed

USAGE = """usage: python -m epo plan [name=value...] [probe_s=10] [json=true]

  name=value  the settings of `python train.py`
  probe_s     how long the run is tried, s; at least two iterations
  json        one line of JSON instead of the table

Nothing is written. The probe trains in this process, so memory and speed are those of the first
iterations on this machine as it is now; other processes slow it down as they would slow the run.
"""


@dataclass
class Options:
    """How the run is tried; `USAGE` explains the fields."""

    probe_s: float = 10.0
    json: bool = False


def main(words: Sequence[str]) -> None:
    """Try the run and print what it takes.

    Raises:
        ConfigError: at a wrong setting, or where the run does not fit.
    """
    if {"-h", "--help"} & set(words):
        print(as_typed(USAGE), end="")
        return
    options, given = arguments.split(words, Options())
    if not options.probe_s > 0.0:
        raise ConfigError("probe_s", options.probe_s, "use a positive number of seconds")
    for word in given:
        if word.startswith("-"):
            raise ConfigError("flag", word, "unknown; --help shows what can be set")
    cfg, choices = _configuration(given)
    # Imports torch: what came before answered at once.
    from epo.cli.plan.probe import probe
    from epo.cli.plan.table import as_plain, show
    from epo.envs import EnvError

    try:
        plan = probe(cfg, options.probe_s)
    except EnvError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if options.json:
        print(json.dumps(as_plain(plan, cfg)))
        return
    if choices:
        print(*choices, sep="\n")
    show(plan, cfg)


def _configuration(given: Sequence[str]) -> Tuple[Config, List[str]]:
    """Compose what `python train.py` would run here."""
    environment.register()
    configs = environment.configurations(given)
    if len(configs) != 1:
        raise ConfigError("argument", " ".join(given), "plan one run at a time")
    cfg, choices = environment.ready(configs[0])
    environment.check_learnable(cfg)
    return cfg, choices
