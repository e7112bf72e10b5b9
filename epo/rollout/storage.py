"""Storage of one rollout, allocated once and overwritten by every collection."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Callable, Dict, Mapping, Optional, Tuple

import torch
from torch import Tensor

from epo.envs import Step


@dataclass(frozen=True)
class Quantity:
    """A number, or several, of every sample, which the environments give besides the rewards.

    Attributes:
        read: [N, *shape] from the result of a control step.
        shape: of one sample's.
    """

    read: Callable[[Step], Tensor]
    shape: Tuple[int, ...] = ()


@dataclass
class Rollout:
    """T control steps of N environments under the behaviour policies.

    Environments are along dimension 1 of a field unless its metadata say another `dim`.

    Attributes:
        agent: [N] int64 agent of each environment (agent-major blocks).
        observation: [T + 1, N, O] raw observations; the last one follows the last action.
        is_first: [T + 1, N] bool, the observation begins an episode.
        action: [T, N, A] unclamped samples.
        log_prob: [T, N] log density of the actions under the behaviour policy.
        mean: [T, N, D] output of the behaviour policy's head, see `models.distribution`.
        log_std: [K, D] log standard deviations of the behaviour policies, or [K, 0].
        value: [T + 1, N] de-normalised value estimates.
        reward: [T, N] scaled rewards.
        memory: [2, N, H] LSTM state entering the first step.
        terminal_value: [T, N] value of the state that ended an episode by its time limit, 0 at
            true ends; None: no bootstrap.
        step_memory: [T + 1, 2, N, H] LSTM state entering each step, zeroed where an episode
            begins; None unless it was asked for.
        is_valid: [T, N] bool, the step is experience to learn from; None: all are.
        extra: name -> [T, N, ...] a `Quantity` after each action.
        state: [T + 1, N, S] what the critic sees beside the observation; None: nothing more.
    """

    agent: Tensor = field(metadata={"dim": 0})
    observation: Tensor
    is_first: Tensor
    action: Tensor
    log_prob: Tensor
    mean: Tensor
    log_std: Tensor = field(metadata={"dim": None})
    value: Tensor
    reward: Tensor
    memory: Tensor
    terminal_value: Optional[Tensor] = None
    step_memory: Optional[Tensor] = field(default=None, metadata={"dim": 2})
    is_valid: Optional[Tensor] = None
    extra: Dict[str, Tensor] = field(default_factory=dict)
    state: Optional[Tensor] = None

    @property
    def horizon(self) -> int:
        """T."""
        return self.action.shape[0]

    @property
    def num_envs(self) -> int:
        """N."""
        return self.action.shape[1]

    def tensors(self) -> Dict[str, Tensor]:
        """Return all that there is by name; the extra ones as `extra.<name>`."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        extra = {f"extra.{name}": value for name, value in found.pop("extra").items()}
        return {name: value for name, value in {**found, **extra}.items() if value is not None}

    def part(self, agent: int, num_agents: int) -> Rollout:
        """Return the part of one of `num_agents`, who is the only one there; nothing is copied."""
        share = self.num_envs // num_agents

        def cut(value: Tensor, dim: int = 1) -> Tensor:
            return value.narrow(dim, agent * share, share)

        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        for each in fields(self):
            dim, value = each.metadata.get("dim", 1), parts[each.name]
            if dim is not None and isinstance(value, Tensor):
                parts[each.name] = cut(value, dim)
        parts["agent"] = torch.zeros_like(parts["agent"])
        parts["log_std"] = self.log_std[agent : agent + 1]
        parts["extra"] = {name: cut(value) for name, value in self.extra.items()}
        return Rollout(**parts)


def allocate_rollout(
    horizon: int,
    agent: Tensor,
    observation_dim: int,
    policy_dim: int,
    action_width: int,
    log_std: Tensor,
    memory: Tensor,
    *,
    with_terminal_value: bool,
    with_step_memory: bool,
    with_validity: bool = False,
    quantities: Mapping[str, Quantity] = MappingProxyType({}),
    state_dim: int = 0,
) -> Rollout:
    """Return an empty rollout on the device and in the precision of `log_std`.

    Args:
        horizon: T.
        agent: [N] int64.
        observation_dim: O.
        policy_dim: D.
        action_width: A.
        log_std: [K, D] or [K, 0].
        memory: [2, N, H], gives H.
        with_terminal_value: keep the values of states that a time limit ended.
        with_step_memory: keep the LSTM state of every step.
        with_validity: note which steps are experience.
        quantities: name -> what else to keep of every sample.
        state_dim: S; 0: the critic sees no more than the actor.
    """
    num_envs = agent.shape[0]

    def empty(*shape: int) -> Tensor:
        return log_std.new_empty(shape)

    return Rollout(
        agent=agent,
        observation=empty(horizon + 1, num_envs, observation_dim),
        is_first=torch.empty((horizon + 1, num_envs), dtype=torch.bool, device=agent.device),
        action=empty(horizon, num_envs, action_width),
        log_prob=empty(horizon, num_envs),
        mean=empty(horizon, num_envs, policy_dim),
        log_std=torch.empty_like(log_std),
        value=empty(horizon + 1, num_envs),
        reward=empty(horizon, num_envs),
        memory=torch.empty_like(memory),
        terminal_value=empty(horizon, num_envs) if with_terminal_value else None,
        step_memory=empty(horizon + 1, *memory.shape) if with_step_memory else None,
        is_valid=torch.ones((horizon, num_envs), dtype=torch.bool, device=agent.device)
        if with_validity
        else None,
        extra={name: empty(horizon, num_envs, *each.shape) for name, each in quantities.items()},
        state=empty(horizon + 1, num_envs, state_dim) if state_dim else None,
    )
