"""`python -m launch.wandb.dashboard ENTITY PROJECT`: the view of EPO runs in W&B, as code.

It needs `pip install wandb wandb-workspaces` and a login (`wandb login`). The x axis of every panel
is W&B's step, which is the number of environment frames.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, Sequence, Tuple

from epo.cli.compose import one_line_errors
from epo.config import ConfigError
from epo.terminal import guard_streams, say

NAME = "EPO"
Panel = Tuple[str, Tuple[str, ...]]
SECTIONS: Dict[str, Tuple[Panel, ...]] = {
    "Leader": (
        ("Return", ("leader/episode_return",)),
        ("Successes", ("leader/successes",)),
        ("Success tolerance", ("success_tolerance",)),
        ("Episode length", ("leader/episode_length",)),
    ),
    "Population": (
        ("Fitness", ("population/fitness_mean", "population/fitness_best", "leader/fitness")),
        ("Return", ("population/episode_return",)),
    ),
    "Genes": (
        ("Distance of genes", ("population/gene_distance",)),
        ("Importance weights", ("importance/mean", "importance/ess")),
    ),
    "Generations": (
        ("Generation", ("generation",)),
        ("Frames to the next", ("population/frames_to_generation",)),
    ),
    "Health": (
        ("KL and its parts", ("kl", "kl/on_policy", "kl/off_policy")),
        ("Step size", ("lr",)),
        ("Clipped", ("clip_fraction/on_policy", "clip_fraction/off_policy")),
        ("Explained variance", ("explained_variance",)),
        ("Entropy", ("entropy",)),
        ("Gradient norm", ("grad_norm", "health/grad_norm_max")),
    ),
    "Speed": (
        ("Frames per second", ("fps",)),
        ("Seconds of an iteration", ("sim_s", "act_s", "learn_s")),
    ),
}
"""Section -> its panels: title and columns of metrics.csv."""


def build(entity: str, project: str) -> Any:
    """Return the workspace, not saved yet.

    Raises:
        ConfigError: if the package is missing.
    """
    try:
        import wandb_workspaces.reports.v2 as reports  # pyright: ignore[reportMissingImports]
        import wandb_workspaces.workspaces as workspaces  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        way_out = "the package is missing: pip install wandb wandb-workspaces"
        raise ConfigError("wandb-workspaces", "not installed", way_out) from error
    sections = [
        workspaces.Section(
            name=name,
            is_open=True,
            panels=[reports.LinePlot(title=title, x="Step", y=list(y)) for title, y in panels],
        )
        for name, panels in SECTIONS.items()
    ]
    return workspaces.Workspace(entity=entity, project=project, name=NAME, sections=sections)


def main(arguments: Sequence[str]) -> None:
    """Create the view and print its address.

    Raises:
        ConfigError: if W&B refuses it.
    """
    if len(arguments) != 2 or {"-h", "--help"} & set(arguments):
        print("usage: python -m launch.wandb.dashboard ENTITY PROJECT")
        return
    view = build(*arguments)
    try:
        view.save()
    except Exception as error:  # whatever its client raises
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        way_out = f"W&B does not take it ({reason}); run `wandb login`"
        raise ConfigError("dashboard", "/".join(arguments), way_out) from error
    say(f"wrote {view.url}")


if __name__ == "__main__":
    guard_streams()
    with one_line_errors():
        main(sys.argv[1:])
