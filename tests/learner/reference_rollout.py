"""Rollouts of the reference learner: its agents act in environments that follow a script."""

from __future__ import annotations

from typing import Dict, Tuple

import torch
from torch import Tensor

from tests.learner.reference_network import Network, Tensors, gaussian_log_prob


@torch.no_grad()
def collect(
    network: Network, script: Tensors, memory: Tensor, num_agents: int
) -> Tuple[Tensors, Tensor]:
    """Let every agent act in its block of environments.

    Args:
        network: of the agents.
        script: `observation` [T + 1, N, O], `is_first` [T + 1, N], `truncated` [T, N],
            `final_observation` [T, N, O], `reward` [T, N] in learning units, `noise` [T, N, A].
        memory: [2, N, H] before the first step.
        num_agents: K.

    Returns:
        All fields of a rollout, and the memory [2, N, H] after its last action.
    """
    num_envs = script["reward"].shape[1]
    agent = torch.arange(num_envs) * num_agents // num_envs
    columns, memories = [], []
    for env in range(num_envs):
        own = {name: value[:, env] for name, value in script.items()}
        column, after = _collect_one(network, own, int(agent[env]), memory[:, env])
        columns.append(column)
        memories.append(after)
    rollout = {
        name: torch.stack([column[name] for column in columns], dim=1) for name in columns[0]
    }
    rollout["step_memory"] = rollout["step_memory"].transpose(1, 2)  # [T + 1, 2, N, H]
    rollout.update(agent=agent, memory=memory, log_std=network.weights["log_std"].detach().clone())
    rollout.update({name: script[name] for name in ("observation", "is_first", "reward")})
    return rollout, torch.stack(memories, dim=1)


def _collect_one(
    network: Network, script: Tensors, agent: int, memory: Tensor
) -> Tuple[Tensors, Tensor]:
    """Act in one environment: its script and memory [2, H]; as `collect`."""
    rows = []
    for t in range(len(script["reward"])):
        row, memory = _act(network, {n: v[t] for n, v in script.items()}, agent, memory)
        rows.append(row)
    column = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    last = torch.zeros_like(memory) if script["is_first"][-1] else memory
    _, value, _ = network.forward(script["observation"][-1], agent, last)
    column["value"] = torch.cat([column["value"], network.values.denormalize(value)])
    column["step_memory"] = torch.cat([column["step_memory"], last[None]])
    return column, memory


def _act(
    network: Network, script: Tensors, agent: int, memory: Tensor
) -> Tuple[Dict[str, Tensor], Tensor]:
    """Take one step in one environment; the value of a state cut by the time limit is kept."""
    if script["is_first"]:
        memory = torch.zeros_like(memory)
    row = {"step_memory": memory}
    log_std = network.weights["log_std"][agent]
    mean, value, memory = network.forward(script["observation"], agent, memory)
    action = mean + torch.exp(log_std) * script["noise"]
    terminal_value = torch.zeros_like(value)
    if script["truncated"]:
        _, final, _ = network.forward(script["final_observation"], agent, memory)
        terminal_value = network.values.denormalize(final)[0]
    row.update(
        mean=mean,
        action=action,
        log_prob=gaussian_log_prob(action, mean, log_std),
        value=network.values.denormalize(value)[0],
        terminal_value=terminal_value,
    )
    return row, memory
