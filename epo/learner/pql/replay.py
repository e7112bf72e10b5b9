"""The replay buffer: a ring of transitions on the device, filled and drawn from without a sync."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

import torch
from torch import Tensor

from epo.learner.pql.n_step import Transition


class Batch(NamedTuple):
    """B transitions, as in `Transition`.

    Attributes:
        observation: [B, O] raw.
        action: [B, A].
        reward_sum: [B] scaled.
        bootstrap: [B].
        next_observation: [B, O] raw.
        age: [B] int64, control steps since the transition was stored.
    """

    observation: Tensor
    action: Tensor
    reward_sum: Tensor
    bootstrap: Tensor
    next_observation: Tensor
    age: Tensor


def bytes_per_transition(observation_dim: int, action_dim: int, dtype: torch.dtype) -> int:
    """Return the memory that one transition takes: two observations, an action, two numbers."""
    return 2 * observation_dim * torch.finfo(dtype).bits // 8 + 4 * (action_dim + 2)


class Replay:
    """The newest transitions, in a ring; when it is full, the oldest are overwritten.

    Where the ring stands is a tensor, since how many of N transitions are kept is known to the
    device only. The last row of every tensor takes what is not kept.

    Args:
        capacity: transitions, at least N.
        num_envs: N, transitions that come at once.
        observation_dim: O.
        action_dim: A.
        device: where everything is stored.
        dtype: of stored observations; those beyond its range are stored as its bounds.
    """

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        observation_dim: int,
        action_dim: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.capacity = capacity
        self.num_envs = num_envs
        self._limit = torch.finfo(dtype).max
        rows = capacity + 1
        self._rows: Dict[str, Tensor] = {
            "observation": torch.zeros((rows, observation_dim), dtype=dtype, device=device),
            "action": torch.zeros((rows, action_dim), device=device),
            "reward_sum": torch.zeros(rows, device=device),
            "bootstrap": torch.zeros(rows, device=device),
            "next_observation": torch.zeros((rows, observation_dim), dtype=dtype, device=device),
        }
        self._position = torch.zeros((), dtype=torch.int64, device=device)  # the next row
        self.size = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, transition: Transition) -> None:
        """Store those of N transitions that are kept."""
        is_kept = transition.is_kept
        ends = self._position + is_kept.cumsum(0)  # [N]
        row = torch.where(is_kept, (ends - 1) % self.capacity, self.capacity)
        for name, store in self._rows.items():
            value: Tensor = getattr(transition, name)
            if store.dtype != value.dtype:
                value = value.clamp(-self._limit, self._limit).to(store.dtype)
            store.index_copy_(0, row, value)
        self.size = (self.size + is_kept.sum()).clamp(max=self.capacity)
        self._position = ends[-1] % self.capacity

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw transitions with equal probability, with replacement."""
        row = self._draw(batch_size, generator)
        values = {name: store[row] for name, store in self._rows.items()}
        age = torch.div(
            (self._position - 1 - row) % self.capacity, self.num_envs, rounding_mode="floor"
        )
        return Batch(
            observation=values["observation"].float(),
            action=values["action"],
            reward_sum=values["reward_sum"],
            bootstrap=values["bootstrap"],
            next_observation=values["next_observation"].float(),
            age=age,
        )

    def sample_observation(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Draw raw observations [B, O] only."""
        return self._rows["observation"][self._draw(batch_size, generator)].float()

    def _draw(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Draw rows [B] below the present size, which the host does not know."""
        device = self.size.device
        # float32 has too few digits for five million rows.
        u = torch.rand(batch_size, dtype=torch.float64, generator=generator, device=device)
        # Rounding may reach `size` itself, and nothing may be stored yet.
        return torch.minimum((u * self.size).long(), self.size - 1).clamp(min=0)

    def state_dict(self, with_contents: bool) -> Dict[str, Any]:
        """Return the transitions, or, without contents, nothing."""
        if not with_contents:
            return {}
        size = int(self.size)
        return {
            "capacity": self.capacity,
            "position": self._position.clone(),
            "rows": {name: store[:size].clone() for name, store in self._rows.items()},
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue with the transitions of `state_dict`; without contents, begin empty.

        Raises:
            ValueError: if the capacity is another one.
        """
        if not state:
            self._position.zero_()
            self.size.zero_()
            return
        if state["capacity"] != self.capacity:
            raise ValueError(
                f"its replay buffer has another capacity; use algo.pql.replay_capacity="
                f"{state['capacity']}"
            )
        size = len(state["rows"]["action"])
        for name, rows in state["rows"].items():
            self._rows[name][:size].copy_(rows)
        self._position.copy_(state["position"])
        self.size.fill_(size)
