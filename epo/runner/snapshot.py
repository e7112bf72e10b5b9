"""The one transfer of an iteration: everything that the host needs, in one copy."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple

import torch
from torch import Tensor

from epo.population import Fitness


class Numbers(NamedTuple):
    """What an iteration has to say, name -> [] tensor on the device; three fates.

    Attributes:
        sound: columns; one that is not finite ends the run.
        shown: columns; NaN is no value.
        watched: recorded nowhere; one that is not finite ends the run.
    """

    sound: Dict[str, Tensor]
    shown: Dict[str, Tensor] = {}  # noqa: RUF012 (read only)
    watched: Dict[str, Tensor] = {}  # noqa: RUF012 (read only)


class Snapshot(NamedTuple):
    """What one iteration brings to the host, in one transfer.

    Attributes:
        metrics: name -> value, `Numbers.sound` and `Numbers.watched`.
        scalars: name -> value, `Numbers.shown`.
        fitness: of all agents, CPU tensors [K].
        blocks: metric -> [K] mean over each agent's environments of the last episode.
    """

    metrics: Dict[str, float]
    scalars: Dict[str, float]
    fitness: Fitness
    blocks: Dict[str, Tensor]


def pack(
    metrics: Dict[str, Tensor],
    scalars: Dict[str, Tensor],
    fitness: Fitness,
    blocks: Dict[str, Tensor],
) -> Tensor:
    """Line everything up on the device, float64."""
    named = {**metrics, **scalars}
    parts = [torch.stack([value.detach().double() for value in named.values()])]
    parts += [fitness.pack().flatten(), *(block.double() for block in blocks.values())]
    return torch.cat(parts)


def transfer(
    metrics: Dict[str, Tensor],
    scalars: Dict[str, Tensor],
    fitness: Fitness,
    blocks: Dict[str, Tensor],
    to_host: Callable[[Tensor], Tensor] = Tensor.cpu,
) -> Snapshot:
    """Bring everything to the host in one copy: the sync point of an iteration.

    Args:
        metrics: see `Snapshot`, [] each on the device.
        scalars: likewise.
        fitness: of all agents.
        blocks: metric -> [K].
        to_host: makes the copy; on several ranks it is that of rank 0 on all of them.
    """
    host = to_host(pack(metrics, scalars, fitness, blocks))
    named = {**metrics, **scalars}
    num_agents = fitness.fitness.shape[0]
    values = dict(zip(named, host[: len(named)].tolist()))
    per_agent = host[len(named) :].view(4 + len(blocks), num_agents)
    return Snapshot(
        metrics={name: values[name] for name in metrics},
        scalars={name: values[name] for name in scalars},
        fitness=Fitness.unpack(per_agent[:4]),
        blocks=dict(zip(blocks, per_agent[4:])),
    )
