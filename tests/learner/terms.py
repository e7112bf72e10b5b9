"""The terms of the loss for samples that no rollout holds."""

from __future__ import annotations

from typing import Any, Optional

import torch
from torch import Tensor

from epo.learner.batch import PreparedBatch
from epo.learner.losses import Bound, PPOTerms, ppo_terms
from epo.models.actor_critic import PolicyOutput
from epo.models.distribution import Distribution


def terms_of(
    distribution: Distribution,
    *,
    mean: Tensor,
    log_std: Tensor,
    value: Tensor,
    action: Tensor,
    clip_low: Bound,
    clip_high: Bound,
    value_clip_eps: Optional[float],
    soft_bound: float,
    old_value: Tensor,
    **batch: Any,
) -> PPOTerms:
    """Evaluate the new policy (mean, log_std) and value; `batch` are fields of a PreparedBatch."""
    nothing = torch.zeros(0)
    of_place = {"env_ids": nothing, "agent": nothing, "is_off_policy": nothing}
    return ppo_terms(
        distribution,
        PolicyOutput(mean, log_std, value, nothing),
        action,
        PreparedBatch(value=old_value, **of_place, **batch),
        clip_low=clip_low,
        clip_high=clip_high,
        value_clip_eps=value_clip_eps,
        soft_bound=soft_bound,
    )
