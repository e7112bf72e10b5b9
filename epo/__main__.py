"""`epo <verb>`, or `python -m epo <verb>`: training, and tools for runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Dict, List, Tuple

from epo.cli.compose import one_line_errors
from epo.cli.search_path import settled
from epo.config import ConfigError
from epo.program import verbs
from epo.quoting import shell
from epo.terminal import guard_streams
from epo.validation import did_you_mean

VERBS: Dict[str, Tuple[str, str]] = {
    "bench": ("epo.cli.bench.command", "measure how fast things run on this machine"),
    "diagnose": ("epo.cli.diagnose", "say what went wrong in a run, when, and why"),
    "doctor": ("epo.cli.doctor.command", "look at this machine, and say what has to be fixed"),
    "eval": ("epo.cli.eval.command", "measure what the agents of a run reach, with intervals"),
    "export": ("epo.cli.export.command", "write a policy for controllers, and check it"),
    "genes": ("epo.cli.genes.command", "show, mix, film and export the genes of a population"),
    "gpu": ("epo.cli.gpu.command", "measure a GPU in its first hour, in steps that resume"),
    "plan": ("epo.cli.plan.command", "say what a run will take of memory and time"),
    "play": ("epo.cli.play.command", "watch the agents of a run, or any task, as a video"),
    "plot": ("epo.cli.plot.command", "draw the learning curves of runs"),
    "report": ("epo.cli.report.command", "write one page about runs: curves, genes, health, time"),
    "replay": ("epo.cli.replay", "repeat the iteration that a run failed in"),
    "runs": (
        "epo.cli.past_runs.command",
        "list runs, compare their settings, delete what came to nothing",
    ),
    "train": ("epo.cli.train", "train a population of agents; epo train --help lists settings"),
    "study": ("epo.cli.study.command", "make all runs of a comparison and the page about them"),
}
"""Verb -> module with `main(arguments)`, imported when it is used, and what it does."""


def main(arguments: List[str]) -> None:
    """Run the verb that the arguments begin with.

    Raises:
        ConfigError: if there is no such verb, or the verb refuses its arguments.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(f"usage: {shell(verbs())} <verb> ...; a verb without arguments explains itself\n")
        for verb, (_, help_text) in VERBS.items():
            print(f"  {verb:<10}{help_text}")
        return
    verb, *rest = arguments
    if verb not in VERBS:
        way_out = f"unknown{did_you_mean(verb, VERBS)} (verbs: {', '.join(VERBS)})"
        raise ConfigError("verb", verb, way_out)
    import_module(VERBS[verb][0]).main(settled(rest))


def console() -> None:
    """Do what the command line says; the command `epo` of an installed package begins here."""
    # The working directory comes last: what it holds stands in for nobody's package.
    here = os.getcwd()
    sys.path = [*(path for path in sys.path if path not in ("", here)), here]
    guard_streams(is_silent=sys.argv[1:2] != ["train"])
    with one_line_errors():
        main(sys.argv[1:])


if __name__ == "__main__":
    console()
