"""Actor-critics of agents that share nothing, as one network for anyone who collects with them."""

from __future__ import annotations

import contextlib
from typing import Iterator, Optional, Sequence

import torch
from torch import Tensor, nn

from epo.models.actor_critic import ActorCritic, PolicyOutput


class MemberNetworks(nn.Module):
    """P actor-critics, each for its own block of environments.

    Whatever is given per environment must hold the P blocks of equal size one after another.

    Args:
        members: networks of one agent each, of the same kind and size.
    """

    def __init__(self, members: Sequence[ActorCritic]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.num_agents = len(members)
        self.policy_dim, self.state_dim = members[0].policy_dim, members[0].state_dim
        self.distribution = members[0].distribution

    @property
    def log_std(self) -> Tensor:
        """Log standard deviations [P, D] or [P, 0]."""
        return torch.cat([member.log_std for member in self._networks()])

    def initial_memory(self, num: int) -> Tensor:
        """Return the zero state [2, num, H]."""
        return self._networks()[0].initial_memory(num)

    def denormalize_value(self, value: Tensor) -> Tensor:
        """Return normalised values [..., N] in the unit of scaled rewards."""
        parts = zip(self._networks(), value.chunk(self.num_agents, dim=-1))
        return torch.cat([member.denormalize_value(part) for member, part in parts], dim=-1)

    @contextlib.contextmanager
    def fixed_parameters(self) -> Iterator[None]:
        """Compute what depends on parameters alone once: they stay as they are meanwhile."""
        with contextlib.ExitStack() as stack:
            for member in self._networks():
                stack.enter_context(member.fixed_parameters())
            yield

    def forward(
        self,
        observation: Tensor,
        agent: Tensor,
        memory: Tensor,
        is_first: Tensor,
        state: Optional[Tensor] = None,
    ) -> PolicyOutput:
        """Evaluate N sequences of T steps, see `ActorCritic.forward`.

        Args:
            observation: [T, N, O] raw observations.
            agent: [N] int64, whose environment it is: by blocks, which is taken for granted.
            memory: [2, N, H] hidden and cell state entering the first step.
            is_first: [T, N] bool, the observation begins an episode.
            state: [T, N, S] raw states, for asymmetric critics.
        """
        given = [x for x in (observation, memory, is_first, state) if x is not None]
        inputs = zip(*(x.chunk(self.num_agents, dim=1) for x in given))
        own = torch.zeros_like(agent[: len(agent) // self.num_agents])
        outputs = [
            member(part, own, *rest) for member, (part, *rest) in zip(self._networks(), inputs)
        ]
        mean, log_std, value, memories = zip(*outputs)
        return PolicyOutput(
            torch.cat(mean, dim=1),
            torch.cat(log_std),
            torch.cat(value, dim=1),
            torch.cat(memories, dim=1),
        )

    def _networks(self) -> Sequence[ActorCritic]:
        return list(self.members)  # pyright: ignore[reportReturnType]
