"""The network and the policy of the reference learner, one observation of one agent at a time.

Source: Hochreiter and Schmidhuber 1997 (LSTM); Ba et al. 2016 (layer norm); Chan et al. 1979
(merged variances); the KL divergence and its guards as in rl_games.
"""

from __future__ import annotations

import math
from typing import Dict, Tuple

import torch
from torch import Tensor

Tensors = Dict[str, Tensor]


def lstm_cell(gates: Tensor, cell: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the new hidden and cell state [..., H].

    Args:
        gates: [..., 4 H] before the nonlinearities; order input, forget, cell, output.
        cell: [..., H] cell state before.
    """
    size = cell.shape[-1]
    enter = torch.sigmoid(gates[..., :size])
    forget = torch.sigmoid(gates[..., size : 2 * size])
    new = torch.tanh(gates[..., 2 * size : 3 * size])
    output = torch.sigmoid(gates[..., 3 * size :])
    cell = forget * cell + enter * new
    return output * torch.tanh(cell), cell


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `x` [H] with mean 0 and (biased) variance 1, scaled and shifted."""
    centred = x - x.mean()
    return weight * centred / torch.sqrt((centred**2).mean() + 1e-5) + bias


def elu(x: Tensor) -> Tensor:
    """Return x where it is positive, exp(x) - 1 elsewhere."""
    return torch.where(x > 0.0, x, torch.exp(x) - 1.0)


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log density [...] of `action` [..., A]."""
    z = (action - mean) / torch.exp(log_std)
    return (-0.5 * z**2 - log_std - 0.5 * math.log(2.0 * math.pi)).sum(-1)


def gaussian_kl(mean: Tensor, log_std: Tensor, old_mean: Tensor, old_log_std: Tensor) -> Tensor:
    """Return KL(new || old) [...] with rl_games' two guards of 1e-5."""
    std, old_std = torch.exp(log_std), torch.exp(old_log_std)
    guarded = (std**2 + (old_mean - mean) ** 2) / (2.0 * (old_std**2 + 1e-5))
    return (torch.log(old_std / std + 1e-5) + guarded - 0.5).sum(-1)


def unbiased_std(x: Tensor) -> Tensor:
    """Return the standard deviation [] of all elements, divided by n - 1."""
    return torch.sqrt(((x - x.mean()) ** 2).sum() / (x.numel() - 1))


class Moments:
    """Running mean and variance of vectors, and what is normalised by them."""

    def __init__(self, weights: Tensors, name: str, clip: float) -> None:
        self.mean, self.var, self.count = (
            weights[f"{name}.{field}"].clone() for field in ("mean", "var", "count")
        )
        self.clip = clip

    def merge(self, vectors: Tensor) -> None:
        """Take in `vectors` [n, D]; their own variance is the unbiased one."""
        num = len(vectors)
        mean = vectors.sum(0) / num
        var = ((vectors - mean) ** 2).sum(0) / (num - 1)
        total = self.count + num
        joint = (self.count * self.mean + num * mean) / total
        before = self.count * (self.var + (self.mean - joint) ** 2)
        self.var = (before + num * (var + (mean - joint) ** 2)) / total
        self.mean, self.count = joint, total

    def normalize(self, x: Tensor) -> Tensor:
        """Return `x` [..., D] in standard deviations, clamped."""
        return ((x - self.mean) / torch.sqrt(self.var + 1e-5)).clamp(-self.clip, self.clip)

    def denormalize(self, x: Tensor) -> Tensor:
        """Return clamped `x` [..., D] in its original unit."""
        return x.clamp(-self.clip, self.clip) * torch.sqrt(self.var + 1e-5) + self.mean


class Network:
    """The actor-critic.

    Args:
        state: `state_dict` of ours.
        clip: bound of normalised observations and values.

    Attributes:
        weights: name -> leaf that requires its gradient.
        observations, values: their normalisers.
    """

    def __init__(self, state: Tensors, clip: float) -> None:
        self.observations = Moments(state, "observation_normalizer", clip)
        self.values = Moments(state, "value_normalizer", clip)
        self.weights: Tensors = {
            name: value.clone().requires_grad_()
            for name, value in state.items()
            if "normalizer" not in name
        }

    def forward(self, observation: Tensor, agent: int, memory: Tensor):
        """Return mean [A], normalised value [] and memory [2, H] after one step of one agent.

        Args:
            observation: [O] raw.
            agent: whose gene applies.
            memory: [2, H] hidden and cell state.
        """
        w = self.weights
        x = self.observations.normalize(observation)
        if "gene" in w:
            x = torch.cat([x, w["gene"][agent]])
        if "lstm.weight_ih" in w:
            gates = w["lstm.weight_ih"] @ x + w["lstm.bias_ih"]
            gates = gates + w["lstm.weight_hh"] @ memory[0] + w["lstm.bias_hh"]
            memory = torch.stack(lstm_cell(gates, memory[1]))
            x = layer_norm(memory[0], w["norm.weight"], w["norm.bias"])
        i = 0
        while f"mlp.{i}.weight" in w:
            x = elu(w[f"mlp.{i}.weight"] @ x + w[f"mlp.{i}.bias"])
            i += 1
        mean = w["mean_head.weight"] @ x + w["mean_head.bias"]
        value = w["value_head.weight"] @ x + w["value_head.bias"]
        return mean, value[0], memory

    def unroll(self, rollout: Tensors, env: int, agent: int, num_steps: int):
        """Return means [num_steps, A] and normalised values [num_steps] of one environment."""
        means, values, memory = [], [], rollout["memory"][:, env]
        for t in range(num_steps):
            if rollout["is_first"][t, env]:
                memory = torch.zeros_like(memory)
            mean, value, memory = self.forward(rollout["observation"][t, env], agent, memory)
            means.append(mean)
            values.append(value)
        return torch.stack(means), torch.stack(values)
