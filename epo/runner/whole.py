"""The state of a run of several ranks: gathered for a checkpoint, dealt out again on resume.

Every rank has the same networks, optimiser and population. What it has of its own are its
environments and what goes with them; a checkpoint holds these parts of all ranks. On as many ranks
each takes its part back, and the run is the one that was never interrupted. On another number of
ranks new episodes begin: what a world is made of belongs to its place on a rank, so that physics
of one cannot go on in another. What all ranks share goes on, such as a curriculum.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

import torch
from torch import Tensor

from epo.ranks import Ranks
from epo.runner.checkpoint import plain

OWN = ("env", "collector", "tracker")
"""Entries of a state that differ from rank to rank."""
OTHERS = "other_ranks"
"""Entry of a whole state: those of ranks 1, 2, ... in their order."""


def whole(state: Dict[str, Any], ranks: Ranks) -> Dict[str, Any]:
    """Return on rank 0 the state of the whole run; elsewhere the own one. All ranks call it."""
    if ranks.size == 1:
        return state
    parts = ranks.gather(plain({name: state[name] for name in OWN if name in state}))
    return {**state, OTHERS: parts[1:]} if parts else state


def own(
    state: Dict[str, Any], fresh: Callable[[], Dict[str, Any]], num_agents: int, ranks: Ranks
) -> Dict[str, Any]:
    """Return this rank's state.

    Args:
        state: of a whole run, as a checkpoint holds it.
        fresh: gives that of this rank at the start of a run.
        num_agents: K.
        ranks: of the run; as many as when the state was saved, or not.
    """
    rest = {name: value for name, value in state.items() if name != OTHERS}
    parts = [{name: state[name] for name in OWN if name in state}, *state.get(OTHERS, [])]
    if len(parts) == ranks.size:
        return {**rest, **parts[ranks.rank]}
    begun = fresh()
    return {
        **rest,
        "env": _shared([part["env"] for part in parts], begun["env"]),
        # The stream of the action noise is that of the whole run.
        "collector": {**begun["collector"], "generator": parts[0]["collector"]["generator"]},
        "tracker": _tracker(
            [part["tracker"] for part in parts], begun["tracker"], num_agents, ranks
        ),
    }


def is_dealt_anew(state: Dict[str, Any], ranks: Ranks) -> bool:
    """Tell whether the state was saved by another number of ranks."""
    return 1 + len(state.get(OTHERS, [])) != ranks.size


def _shared(parts: Sequence[Any], fresh: Any) -> Any:
    """Return `fresh` with what all former ranks had in common, but for rows of environments."""
    first = parts[0]
    if isinstance(fresh, dict):
        return {
            name: _shared([part[name] for part in parts], value)
            if all(isinstance(part, dict) and name in part for part in parts)
            else value
            for name, value in fresh.items()
        }
    if isinstance(fresh, Tensor) and isinstance(first, Tensor):
        is_stream = fresh.dtype == torch.uint8 and fresh.dim() == 1  # of random numbers
        is_same = all(torch.equal(first, part) for part in parts[1:])
        return first if is_same and not is_stream and first.shape == fresh.shape else fresh
    return first if all(type(p) is type(fresh) and p == first for p in parts) else fresh


def _tracker(
    parts: List[Dict[str, Any]], fresh: Dict[str, Any], num_agents: int, ranks: Ranks
) -> Dict[str, Any]:
    """Deal what episodes reached, agent by agent; running episodes are over."""
    first = parts[0]
    dealt = {
        name: _deal([part[name] for part in parts], num_agents, ranks)
        for name in ("last", "is_known")
    }
    # Sums over the environments of a rank: rank 0 takes those of all.
    share = 1.0 if ranks.rank == 0 else 0.0
    sums = {
        name: share * torch.stack([part[name] for part in parts]).sum(0)
        for name in ("window", "returns")
    }
    return {**first, **dealt, **sums, "return": fresh["return"], "length": fresh["length"]}


def _deal(parts: List[Tensor], num_agents: int, ranks: Ranks) -> Tensor:
    """Return this rank's environments [..., N / W] from those of all former ranks."""
    blocks = [part.unflatten(-1, (num_agents, -1)) for part in parts]  # [..., K, E / W']
    block = torch.cat(blocks, dim=-1)  # [..., K, E]
    share = block.shape[-1] // ranks.size
    return block.narrow(-1, ranks.rank * share, share).flatten(-2)
