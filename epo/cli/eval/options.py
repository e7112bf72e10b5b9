"""What is evaluated and how, and which combinations cannot work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from epo.config import ConfigError
from epo.runner.saved_run import SavedRun
from epo.validation import did_you_mean

USAGE = """usage: python -m epo eval RUN [agents=leader] [episodes=100] [name=value...]

  RUN          run folder (its best.pt, or else last.pt) or a checkpoint in one
  agents       leader, all, or indices such as 3 or 0,3,7
  episodes     of each agent in each mode, counted in equal shares from every world
  modes        deterministic (what the agents think best), stochastic (with their training
               noise), or both; default both where the checkpoint has noise
  engine       engine, or several to compare such as mujoco,mujoco_warp; default: by the device
  seed         of the episodes; default 10000 more than the training seed
  num_worlds   worlds of each agent; default one for each episode, at most 1024 in all
  max_steps    control steps after which episodes that have not ended are given up; default
               twice the longest that all episodes of a world can last
  level        of a task with a curriculum, such as the success tolerance of AllegroKuka tasks, m,
               held from start to end; default the target of the curriculum
  out          JSON file to write; default eval_<checkpoint>.json in the run folder
  trust        true: import the module that the run's config.yaml names (its code runs)

Everything else is a setting of the task, such as task.episode_length=300 or device=cpu.
"""
MODES = ("deterministic", "stochastic")
MAX_WORLDS = 1024
"""Worlds of all agents together unless `num_worlds` asks for more."""
MAX_EPISODES = 1_000_000
SEED_OFFSET = 10_000
"""From the seed of the training to that of the evaluation: other episodes."""
UNLIMITED_STEPS = 20_000
"""Control steps of an episode that has no time limit, at most."""


@dataclass
class Options:
    """What is evaluated and how; `USAGE` explains the fields."""

    agents: str = "leader"
    episodes: int = 100
    modes: Optional[str] = None
    engine: str = "auto"
    seed: Optional[int] = None
    num_worlds: Optional[int] = None
    max_steps: Optional[int] = None
    level: Optional[float] = None
    out: Optional[str] = None


def check(options: Options) -> None:
    """Refuse what cannot work.

    Raises:
        ConfigError: at the first impossible option.
    """
    for name, most in (
        ("episodes", MAX_EPISODES),
        ("num_worlds", MAX_EPISODES),
        ("max_steps", 2**62),
    ):
        value = getattr(options, name)
        if value is not None and not 1 <= value <= most:
            raise ConfigError(name, value, f"use a whole number from 1 to {most}")
    if options.seed is not None and not 0 <= options.seed < 2**31:
        raise ConfigError("seed", options.seed, f"use a whole number from 0 to {2**31 - 1}")
    if options.level is not None and not options.level > 0:
        raise ConfigError("level", options.level, "use a positive number")
    for mode in (options.modes or "").split(","):
        if options.modes is not None and mode not in MODES:
            way_out = f"use {' or '.join(MODES)}, or both with a comma{did_you_mean(mode, MODES)}"
            raise ConfigError("modes", options.modes, way_out)
    if options.out is not None and Path(options.out).suffix != ".json":
        raise ConfigError("out", options.out, "its name must end in .json")


def run_of(words: Sequence[str]) -> Tuple[Path, List[str]]:
    """Tell the run, the only argument without `=`, from the other arguments.

    Raises:
        ConfigError: if there is none, or more than one.
    """
    runs = [word for word in words if "=" not in word and not word.startswith("-")]
    if len(runs) != 1:
        way_out = "name one run folder or checkpoint" + (", one at a time" if runs else "")
        raise ConfigError("run", " ".join(runs) or "(none)", way_out)
    return Path(runs[0]), [word for word in words if word != runs[0]]


def modes_of(options: Options, saved: SavedRun) -> List[str]:
    """List the modes; a checkpoint without a shared network has no noise to act with.

    Raises:
        ConfigError: if noise is asked for where there is none.
    """
    has_noise = "model" in saved.state
    if options.modes is None:
        return list(MODES) if has_noise else ["deterministic"]
    modes = list(dict.fromkeys(options.modes.split(",")))
    if "stochastic" in modes and not has_noise:
        way_out = "the agents of this checkpoint act without noise; use modes=deterministic"
        raise ConfigError("modes", options.modes, way_out)
    return modes


def num_worlds(options: Options, num_agents: int) -> int:
    """Return the worlds of each agent: never more than episodes, each plays an equal share."""
    if options.num_worlds is not None:
        return min(options.num_worlds, options.episodes)
    return max(1, min(options.episodes, MAX_WORLDS // num_agents))
