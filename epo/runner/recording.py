"""What an iteration leaves for the folder of a failure, and how it is repeated from there."""

from __future__ import annotations

import math
from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor

from epo.config import ConfigError
from epo.envs import EnvError
from epo.models.actor_critic import ActorCritic
from epo.models.normalizer import RunningNormalizer
from epo.population.fitness import EpisodeReturns
from epo.rollout.collector import Collector
from epo.rollout.storage import Rollout
from epo.runner.nonfinite import first_refused


def record_rollout(collector: Collector, returns: Optional[EpisodeReturns]) -> Dict[str, Any]:
    """Return the present rollout as plain types; nothing is copied."""
    rollout = collector.rollout
    return {
        "rollout": rollout.tensors(),
        "num_steps": collector.num_collected,
        "is_complete": collector.is_complete,
        "returns": None if returns is None else tuple(returns),
    }


def play(
    recording: Dict[str, Any], collector: Collector
) -> Tuple[Rollout, Optional[EpisodeReturns]]:
    """Put a complete recording in the place of the present rollout.

    Raises:
        ConfigError: if it has other sizes.
    """
    rollout, device = collector.rollout, collector.env.device
    tensors = rollout.tensors()
    for name, value in recording["rollout"].items():
        own = tensors.get(name)
        if own is None or own.shape != value.shape:
            raise ConfigError("rollout", name, f"has the shape {tuple(value.shape)}, see config")
        own.copy_(value)
    collector.mark_collected(recording["num_steps"])
    if "refused" in recording:
        judge_again(recording)
    returns = recording["returns"]
    if returns is not None:
        returns = EpisodeReturns(*(value.to(device) for value in returns))
    return rollout, returns


def judge_again(recording: Dict[str, Any]) -> None:
    """Look once more at the values with which the environments ended the rollout.

    Raises:
        EnvError: if nothing can be learned from them, in the words of that time.
    """
    values, agent = recording["refused"]["values"], recording["rollout"]["agent"]
    if first_refused(values, agent, recording["num_steps"]) is not None:
        raise EnvError(recording["refused"]["error"], values)


@torch.no_grad()
def watch(model: ActorCritic, collector: Collector) -> Tensor:
    """Return [] 0 if rewards, last observations and the statistics of all are finite, else NaN."""
    rollout = collector.rollout
    is_fine = torch.isfinite(rollout.observation[-1]).all() & torch.isfinite(rollout.reward).all()
    if rollout.state is not None:
        is_fine = is_fine & torch.isfinite(rollout.state[-1]).all()
    return torch.where(is_fine & is_sound(*model.input_normalizers), 0.0, math.nan)


def is_sound(*normalizers: RunningNormalizer) -> Tensor:
    """Tell [] whether the statistics are finite."""
    statistics = [x for each in normalizers for x in (each.mean, each.var)]
    return torch.stack([torch.isfinite(x).all() for x in statistics]).all()
