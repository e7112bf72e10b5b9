"""The benches by name; each is a module of its own with `main(arguments)`."""

from __future__ import annotations

from importlib import import_module
from typing import Dict, Sequence, Tuple

from epo.config import ConfigError
from epo.program import as_typed
from epo.validation import did_you_mean

BENCHES: Dict[str, Tuple[str, str]] = {
    "compare": ("epo.cli.bench.compare", "what changed between two measurements, beyond noise"),
    "learn": ("epo.cli.bench.learn", "samples per second of the learner, without simulation"),
    "main": ("epo.cli.bench.main_job", "the whole main job: simulation, learner, records"),
    "peers": ("epo.cli.bench.peers", "the learner beside rl_games, on the same work"),
    "ranks": ("epo.cli.bench.ranks", "the learner on several ranks beside one process"),
    "scaling": ("epo.cli.bench.scaling", "the learner against agents, environments and units"),
    "sim": ("epo.cli.bench.sim", "control steps per second: physics alone and the whole task"),
}
"""Bench -> module with `main(arguments)`, imported when it is used, and what it measures."""


def main(arguments: Sequence[str]) -> None:
    """Run the bench that the arguments begin with.

    Raises:
        ConfigError: if there is no such bench, or the bench refuses its arguments.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(as_typed("usage: python -m epo bench <what> ...; --help explains its settings\n"))
        for what, (_, help_text) in BENCHES.items():
            print(f"  {what:<10}{help_text}")
        return
    what, *rest = arguments
    if what not in BENCHES:
        way_out = f"unknown{did_you_mean(what, BENCHES)} (benches: {', '.join(BENCHES)})"
        raise ConfigError("bench", what, way_out)
    import_module(BENCHES[what][0]).main(rest)
