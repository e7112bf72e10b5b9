"""Whether a file acts as the policy in the checkpoint does, over many steps of its memory."""

from __future__ import annotations

from typing import Dict

import numpy as np
import torch
from torch import Tensor

from epo.cli.export.formats import Step
from epo.models.actor_critic import ActorCritic
from epo.runner.evaluator import AgentPolicy

NUM_STEPS = 200
"""Control steps: an error in the memory has time to grow."""
NUM_ROBOTS = 3
"""Another batch than the one that the file was traced with."""
NEW_EPISODE = 120
"""Step at which a new episode begins, with an empty memory."""
TOLERANCE = 1e-5
"""Largest difference of an action, of a range of 2."""


def difference(
    step: Step, model: ActorCritic, agent: int, first: Dict[str, Tensor], seed: int = 0
) -> float:
    """Return the largest difference between the actions of a file and of the policy.

    Args:
        step: what runs the file.
        model: the population's network, as training and `play` use it.
        agent: who acts.
        first: inputs of the first step, for their names and for the memory's width.
        seed: of the observations, drawn as the normaliser has seen them.

    Returns:
        Maximum over steps, robots and components; infinity at another shape.
    """
    generator = torch.Generator().manual_seed(seed)
    policy = AgentPolicy(model, torch.full((NUM_ROBOTS,), agent))
    normalizer = model.observation_normalizer
    inputs = {name: np.repeat(x[:1].numpy(), NUM_ROBOTS, axis=0) for name, x in first.items()}
    memory = [name for name in ("hidden", "cell") if name in inputs]
    largest = 0.0
    for t in range(NUM_STEPS):
        noise = torch.randn(NUM_ROBOTS, model.observation_dim, generator=generator)
        if model.encoder is not None:
            observation = 255.0 * noise.sigmoid()
        else:
            observation = normalizer.mean.float() + 1.5 * normalizer.var.float().sqrt() * noise
        is_first = torch.full((NUM_ROBOTS,), t in (0, NEW_EPISODE))
        expected = _clamped(model, policy.act(observation, is_first))
        if t in (0, NEW_EPISODE):
            inputs.update({name: np.zeros_like(inputs[name]) for name in memory})
        action, *state = step({**inputs, "observation": observation.numpy()})
        inputs.update(zip(memory, state))
        if action.shape != tuple(expected.shape):
            return float("inf")
        largest = max(largest, float(np.abs(action - expected.numpy()).max()))
    return largest


def _clamped(model: ActorCritic, action: Tensor) -> Tensor:
    """Clamp real actions as every task does."""
    is_real = model.distribution.log_std_width(model.policy_dim) > 0
    return action.clamp(-1.0, 1.0) if is_real else action
