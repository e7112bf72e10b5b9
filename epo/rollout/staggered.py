"""Staggered starts: the first episodes begin at clocks that are spread over the time limit.

Where all environments begin together and T is much shorter than an episode, every batch holds one
phase of the episode. Sources, rules and what is not known: `docs/staggered_starts.md`.
"""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from epo.config import ConfigError
from epo.envs import ClockedEnv, VecEnv
from epo.ranks import ALONE, Deal, Ranks


def draw_clocks(
    num_envs: int, num_agents: int, time_limit: int, generator: torch.Generator
) -> Tensor:
    """Draw how many steps of its first episode every environment counts as done.

    The E environments of an agent divide [0, H) into E equal strata, one each in random order.

    Args:
        num_envs: N.
        num_agents: K; environment i belongs to agent i // (N / K).
        time_limit: H, control steps.
        generator: on the CPU, so that every device draws the same.

    Returns:
        [N] int64 in [0, H).
    """
    block = num_envs // num_agents
    order = torch.rand(num_agents, block, generator=generator).argsort(dim=1)
    jitter = torch.rand(num_agents, block, generator=generator, dtype=torch.float64)
    elapsed = ((order + jitter) * (time_limit / block)).long()
    return elapsed.clamp(max=time_limit - 1).flatten()  # against rounding up to H


def stagger(
    env: VecEnv, num_agents: int, seed: int, ranks: Ranks = ALONE, num_here: Optional[int] = None
) -> None:
    """Let the first episodes of a new run begin late; call it before the first `reset`.

    Args:
        env: of the run.
        num_agents: K.
        seed: of these draws alone.
        ranks: of the run; each takes the clocks of its own environments.
        num_here: agents of this rank; None: all of them.

    Raises:
        ConfigError: if the clock of this task cannot be set.
    """
    if not isinstance(env, ClockedEnv):
        way_out = f"the clock of {env.spec.name} cannot be set; use staggered_starts=false"
        raise ConfigError("staggered_starts", "true", way_out)
    generator = torch.Generator().manual_seed(seed)
    num_blocks = num_agents if num_here in (None, num_agents) else 1  # members lie in a row
    deal = Deal(num_blocks, env.spec.num_envs, ranks, torch.device("cpu"))
    elapsed = deal.rows(draw_clocks(deal.num_envs, num_agents, env.time_limit, generator))
    env.start_late(elapsed.to(env.device))
