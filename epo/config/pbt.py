"""Population based training of PPO agents (DexPBT, arXiv 2305.12127): `algo.trainer=pbt`.

`P` in a source means the published protocol: the paper, or the code and settings of its
Allegro-Kuka runs in IsaacGymEnvs 1.5.1. `R` means our own choice, argued in the same line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, List, Optional

from epo.config.error import ConfigError

if TYPE_CHECKING:
    from epo.config import AlgoCfg, Config

RULES = {
    "ppo.bounds_coef": "factor",
    "ppo.clip_eps": "clip",
    "ppo.entropy_coef": "factor",
    "ppo.gae_lambda": "discount",
    "ppo.gamma": "discount",
    "ppo.kl_target": "factor",
    "ppo.learning_rate": "factor",
    "ppo.max_grad_norm": "factor",
    "ppo.num_epochs": "epochs",
    "ppo.value_coef": "factor",
}
"""Settings below `algo` that may be mutated, and by which rule of `population.pbt.mutation`."""
REWARD = "reward"
"""All reward terms and parameters of the task; `reward.<name>` is one of them."""


@dataclass
class PbtCfg:
    """When members are compared, who learns from whom, and how settings are mutated.

    Frames are those of one member. Every member has networks, optimiser, statistics and settings
    of its own; nothing is shared but the clock.
    """

    backend: str = "process"
    """`process`: all members in this process, compared at the same time (R: deterministic);
    `files`: this process is one member, the others are met in a shared folder (P)."""
    folder: Optional[str] = None
    """Folder that the processes of backend `files` share."""
    member: Optional[int] = None
    """Which member this process is with backend `files`, in [0, num_members)."""
    num_members: int = 8
    """Processes of backend `files` (P); with `process` it is num_agents."""
    objective: str = "fitness"
    """Metric that members are compared by, the mean over the last episode of each environment:
    the task's own objective `fitness` (P), another of its metrics, or `episode_return`."""
    interval_frames: int = 20_000_000
    """Frames between two comparisons (P; 0.2 to 2 % of a member's budget is a guide)."""
    start_after_frames: int = 100_000_000
    """Frames that a member is left alone after it was changed (P)."""
    initial_delay_frames: int = 200_000_000
    """Frames before anybody is changed (P)."""
    worst_fraction: float = 0.3
    """Share of the members that may be changed, rounded up (P)."""
    best_fraction: float = 0.3
    """Share of the members that are copied from, rounded up (P)."""
    copy_std: float = 0.5
    """Least lead of the donor, in standard deviations of the objective over the members (P)."""
    copy_relative: float = 0.05
    """Least lead of the donor, as a share of its objective (P)."""
    mutation_rate: float = 0.15
    """Chance of every setting to be mutated (P)."""
    min_factor: float = 1.1
    """Least factor of a mutation (P)."""
    max_factor: float = 1.5
    """Greatest factor of a mutation (P)."""
    mutable: List[str] = field(
        default_factory=lambda: [
            "ppo.bounds_coef",
            "ppo.clip_eps",
            "ppo.gamma",
            "ppo.kl_target",
            "ppo.max_grad_norm",
            "ppo.num_epochs",
            "ppo.value_coef",
            REWARD,
        ]
    )
    """What is mutated (P): names in `RULES`; `reward`, all reward terms and parameters that the
    task tells apart, or some of them as `reward.<name>`."""


def pbt_of(algo: AlgoCfg) -> PbtCfg:
    """Return `algo.pbt`, which only `algo.trainer=pbt` has."""
    return vars(algo)["pbt"]


def is_files(algo: AlgoCfg) -> bool:
    """Return whether this process is one member of a population in a shared folder."""
    return algo.trainer == "pbt" and pbt_of(algo).backend == "files"


def num_roles(cfg: PbtCfg, num_members: int) -> List[int]:
    """Return how many members may be changed and how many are copied from."""
    # 0.3 * 10 is 3 and a rounding error.
    fractions = (cfg.worst_fraction, cfg.best_fraction)
    return [math.ceil(fraction * num_members - 1e-9) for fraction in fractions]


def check_pbt(cfg: Config) -> None:
    """Refuse what population based training cannot be combined with, and what does not fit.

    Raises:
        ConfigError: at the first of them.
    """
    algo = cfg.algo
    for name, value, off in (
        ("evolution.enabled", algo.evolution.enabled, False),
        ("aggregation.mode", algo.aggregation.mode, "none"),
    ):
        if value != off:
            way_out = f"members share no network; use {str(off).lower()}"
            raise ConfigError(f"algo.{name}", value, way_out)
    num_members = _check_files(cfg) if is_files(algo) else _check_process(cfg)
    _check_roles(pbt_of(algo), num_members)
    _check_factors(pbt_of(algo))
    _check_mutable(algo)


def _check_files(cfg: Config) -> int:
    """Check what a process in a shared folder must know; give the number of members."""
    pbt = pbt_of(cfg.algo)
    if pbt.folder is None:
        way_out = "algo.pbt.backend=files needs the folder that all members share"
        raise ConfigError("algo.pbt.folder", "null", way_out)
    if pbt.member is None or not 0 <= pbt.member < pbt.num_members:
        way_out = f"use a number from 0 to num_members - 1 = {pbt.num_members - 1}, in each process"
        shown = "null" if pbt.member is None else pbt.member
        raise ConfigError("algo.pbt.member", shown, f"{way_out} another one")
    if cfg.num_agents not in ("auto", 1):
        way_out = "with algo.pbt.backend=files every process is one member; use 1, and "
        raise ConfigError("num_agents", cfg.num_agents, f"{way_out}algo.pbt.num_members")
    return pbt.num_members


def _check_process(cfg: Config) -> int:
    """Check the members of one process; give their number."""
    pbt = pbt_of(cfg.algo)
    for name in ("folder", "member"):
        value = getattr(pbt, name)
        if value is not None:
            raise ConfigError(f"algo.pbt.{name}", value, "only for algo.pbt.backend=files; add it")
    num_members = cfg.algo.num_agents if cfg.num_agents == "auto" else int(cfg.num_agents)
    return num_members


def _check_roles(pbt: PbtCfg, num_members: int) -> None:
    """Check that the best and the worst are different members; one member is nobody's rival."""
    if num_members == 1:
        return
    where = "algo.pbt.num_members" if pbt.backend == "files" else "num_agents"
    if num_members == 2:
        raise ConfigError(where, 2, "two members are too few to compare; use at least 3")
    num_worst, num_best = num_roles(pbt, num_members)
    if num_worst + num_best > num_members:
        raise ConfigError(
            "algo.pbt.best_fraction",
            pbt.best_fraction,
            f"the best {num_best} and the worst {num_worst} of {where}={num_members} overlap; "
            "use less, or a smaller algo.pbt.worst_fraction",
        )


def _check_factors(pbt: PbtCfg) -> None:
    if not 1.0 <= pbt.min_factor <= pbt.max_factor:
        way_out = f"use a number from 1 to max_factor={pbt.max_factor}"
        raise ConfigError("algo.pbt.min_factor", pbt.min_factor, way_out)


def _check_mutable(algo: AlgoCfg) -> None:
    """Check the names of what is mutated; which reward terms there are, only the task knows."""
    pbt = pbt_of(algo)
    for name in pbt.mutable:
        family = name.partition(".")[0]
        if name not in RULES and family != REWARD:
            choices = ", ".join([*RULES, REWARD, f"{REWARD}.<name>"])
            raise ConfigError("algo.pbt.mutable", name, f"unknown (choices: {choices})")
        if family == REWARD and pbt.objective == "episode_return":
            way_out = "the objective is the reward itself, which no member may choose; leave it out"
            raise ConfigError("algo.pbt.mutable", name, way_out)
    if "ppo.learning_rate" in pbt.mutable and algo.ppo.schedule == "adaptive":
        way_out = "the step size follows the KL divergence; use algo.ppo.schedule=fixed"
        raise ConfigError("algo.pbt.mutable", "ppo.learning_rate", way_out)
