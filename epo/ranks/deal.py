"""Which environments belong to which rank, and what that means for the minibatches of a run.

Agent k owns the environments [k E, (k + 1) E) of the run. Rank r of W holds the r-th of W equal
slices of every block, so its own environments are agent-major as well. Random numbers are those of
the whole run: every rank draws all of them from the same stream and keeps what is its own. What is
drawn does therefore not depend on the number of ranks.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from epo.ranks.alone import Ranks


class Share(NamedTuple):
    """The part of a minibatch that is on this rank.

    Attributes:
        ids: [B'] sequences of this rank's batch.
        num: B, sequences of the minibatch on all ranks.
    """

    ids: Tensor
    num: int


class Deal:
    """The environments of one rank.

    Args:
        num_agents: K.
        num_here: environments of this rank, a multiple of K.
        ranks: of the run.
        device: where indices live.

    Attributes:
        num_envs: N, of the run.
        block: E, of an agent in the whole run.
        env_ids: [N / W] number in the run of every environment here.
    """

    def __init__(self, num_agents: int, num_here: int, ranks: Ranks, device: torch.device) -> None:
        self.num_here = num_here
        self.num_envs = num_here * ranks.size
        self.block = self.num_envs // num_agents
        self.is_whole = ranks.size == 1
        share = num_here // num_agents
        first = torch.arange(num_agents, device=device) * self.block + ranks.rank * share
        self.env_ids = (first[:, None] + torch.arange(share, device=device)).flatten()
        self._column = torch.full((self.num_envs,), -1, dtype=torch.int64, device=device)
        self._column[self.env_ids] = torch.arange(num_here, device=device)

    def rows(self, drawn: Tensor) -> Tensor:
        """Keep the rows of this rank's environments of what was drawn for all, [N, ...]."""
        return drawn if self.is_whole else drawn[self.env_ids]

    def like_all(self, x: Tensor) -> Tensor:
        """Return a tensor in the shape of `x` [N / W, ...] of all environments, to draw by."""
        return x if self.is_whole else x[:1].expand(self.num_envs, *x.shape[1:])

    def keep(self, env_ids: Tensor, *along: Tensor) -> Tuple[Tensor, ...]:
        """Keep the environments that are here.

        Args:
            env_ids: [S] numbers of environments in the run.
            along: [S] each, what belongs to them.

        Returns:
            [S'] columns here, then the same entries of everything else. On several ranks the
            host waits for their number.
        """
        if self.is_whole:
            return (env_ids, *along)
        column = self._column[env_ids]
        is_here = column >= 0
        return (column[is_here], *(x[is_here] for x in along))

    def counts(self, env_ids: Tensor) -> Sequence[int]:
        """Tell for n = 0 to S how many of the first n of `env_ids` [S] are here.

        On several ranks the host waits.
        """
        if self.is_whole:
            return range(len(env_ids) + 1)
        return [0, *(self._column[env_ids] >= 0).cumsum(0).tolist()]

    def split(
        self, order: Tensor, spans: Sequence[Tuple[int, int]], drawn: Optional[Tensor]
    ) -> List[Share]:
        """Cut an order of the run's sequences into minibatches and keep what is here.

        Args:
            order: [S] the environments' own sequences are 0 to N - 1, relabelled ones follow.
            spans: (start, end) of every minibatch.
            drawn: [S - N] environments of the relabelled sequences; None: there are none.

        Returns:
            For every minibatch its part here. On several ranks the host waits once.
        """
        if self.is_whole:
            return [Share(order[start:end], end - start) for start, end in spans]
        position = self._column
        if drawn is not None:
            is_here = self._column[drawn] >= 0
            after = self.num_here + is_here.cumsum(0) - 1
            position = torch.cat([position, torch.where(is_here, after, -1)])
        return self.cut(position[order], spans)

    def split_samples(self, order: Tensor, spans: Sequence[Tuple[int, int]]) -> List[Tensor]:
        """Cut an order [T N] of the run's samples, step by step, and keep what is here.

        Returns:
            For every minibatch indices into the samples of this rank, step by step as well.
        """
        if self.is_whole:
            return [order[start:end] for start, end in spans]
        step, env = order // self.num_envs, order % self.num_envs
        column = self._column[env]
        position = torch.where(column >= 0, step * self.num_here + column, -1)
        return [share.ids for share in self.cut(position, spans)]

    def cut(self, position: Tensor, spans: Sequence[Tuple[int, int]]) -> List[Share]:
        """Cut positions [S], of which those below 0 are elsewhere, into minibatches."""
        is_here = position >= 0
        until = torch.cat([is_here.new_zeros(1, dtype=torch.int64), is_here.cumsum(0)])
        edges = torch.tensor(spans, device=position.device)
        counts = (until[edges[:, 1]] - until[edges[:, 0]]).tolist()  # Sync point: once per update.
        parts = position[is_here].split(counts)
        return [Share(part, end - start) for part, (start, end) in zip(parts, spans)]
