"""What is done with the genes of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

from epo.config import ConfigError
from epo.validation import did_you_mean

USAGE = """usage: python -m epo genes RUN [show=list]
       python -m epo genes RUN interpolate=A,B [steps=5] [video=FILE.mp4]
       python -m epo genes RUN cross=A,B [share=0.5] [episodes=100]
       python -m epo genes RUN export=all [out=genes.safetensors]

  RUN          run folder (its last.pt, or else best.pt) or a checkpoint in one
  show         list: every agent's gene, its birth, parents, fitness and nearest neighbour;
               distances: between all pairs; lineage: the family tree of the living
  interpolate  film `steps` genes on the line from agent A's to agent B's, side by side, and say
               what each reached; video=null only says it
  cross        evaluate a child, share x A + (1 - share) x B, beside its parents
  export       all, leader, or indices such as 0,3: write them as safetensors, for `genes=FILE` of a
               new run
  episodes, num_worlds, engine, level, seed   as in `python -m epo eval`; episodes is 100 for cross,
               20 for interpolate
  trust        true: import the module that the run's config.yaml names (its code runs)

Everything else is a setting of the task, such as task.episode_length=300 or device=cpu.
"""
SHOWN = ("list", "distances", "lineage")
ACTIONS = ("interpolate", "cross", "export")
MAX_STEPS = 16
"""Tiles of a film, at most."""


@dataclass
class Options:
    """What is done; `USAGE` explains the fields."""

    show: str = "list"
    interpolate: Optional[str] = None
    steps: int = 5
    video: Optional[str] = "auto"
    cross: Optional[str] = None
    share: float = 0.5
    export: Optional[str] = None
    out: Optional[str] = None
    episodes: Optional[int] = None
    num_worlds: Optional[int] = None
    engine: str = "auto"
    seed: Optional[int] = None
    level: Optional[float] = None


def check(options: Options) -> None:
    """Refuse what cannot work.

    Raises:
        ConfigError: at the first impossible option.
    """
    if options.show not in SHOWN:
        hint = did_you_mean(options.show, SHOWN)
        raise ConfigError("show", options.show, f"use {', '.join(SHOWN[:-1])} or {SHOWN[-1]}{hint}")
    wanted = [name for name in ACTIONS if getattr(options, name) is not None]
    if len(wanted) > 1:
        raise ConfigError(wanted[1], getattr(options, wanted[1]), f"not together with {wanted[0]}")
    if not 2 <= options.steps <= MAX_STEPS:
        raise ConfigError("steps", options.steps, f"use a whole number from 2 to {MAX_STEPS}")
    if not 0.0 <= options.share <= 1.0:
        raise ConfigError("share", options.share, "use a number from 0 to 1")
    if options.out is not None and Path(options.out).suffix != ".safetensors":
        raise ConfigError("out", options.out, "its name must end in .safetensors")


def pair(name: str, text: str, population: int) -> List[int]:
    """Read two agents.

    Raises:
        ConfigError: if these are not two agents of the population.
    """
    words = [word.strip() for word in text.split(",")]
    found = [population - 1 if word == "leader" else _index(word, population) for word in words]
    if len(found) != 2 or -1 in found or found[0] == found[1]:
        way_out = f"use two different agents from 0 to {population - 1} (the leader): {name}=0,1"
        raise ConfigError(name, text, way_out)
    return found


def _index(word: str, population: int) -> int:
    return int(word) if word.isdigit() and int(word) < population else -1


def names_of(agents: Sequence[int], weights: Sequence[float]) -> List[str]:
    """Name mixtures of two agents, `0.25 x 3 + 0.75 x 7`, and the agents themselves."""
    first, second = agents
    named = {1.0: f"agent {first}", 0.0: f"agent {second}"}
    return [named.get(w, f"{w:.2f} x {first} + {1.0 - w:.2f} x {second}") for w in weights]
