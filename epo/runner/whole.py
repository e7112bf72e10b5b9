"""The state of a run of several ranks: gathered for a checkpoint, dealt out again on resume.

Every rank has the same networks, optimiser and population, or members of its own. What else it has
of its own are its environments and what goes with them; a checkpoint holds these parts of all
ranks. On as many ranks each takes its part back, and the run is the one that was never interrupted.
On another number of ranks new episodes begin: what a world is made of belongs to its place on a
rank, so that physics of one cannot go on in another. What all ranks share goes on, such as a
curriculum, and so do members.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from epo.ranks import Ranks
from epo.runner.checkpoint import plain

OWN = ("env", "collector", "tracker")
"""Entries of a state that differ from rank to rank."""
MEMBERS = "members"
"""Entry of a state that lists what a rank alone has: those of all ranks lie one after another."""
OTHERS = "other_ranks"
"""Entry of a whole state: those of ranks 1, 2, ... in their order."""


def whole(state: Dict[str, Any], ranks: Ranks) -> Dict[str, Any]:
    """Return on rank 0 the state of the whole run; elsewhere the own one. All ranks call it."""
    if ranks.size == 1:
        return state
    names = (*OWN, MEMBERS)
    parts = ranks.gather(plain({name: state[name] for name in names if name in state}))
    if not parts:
        return state
    others = [{name: part[name] for name in OWN if name in part} for part in parts[1:]]
    return {**state, **_population(state, parts), OTHERS: others}


def _population(state: Dict[str, Any], parts: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the members of all ranks and the leader's networks, where there are members."""
    if MEMBERS not in state:
        return {}
    members = [member for part in parts for member in part[MEMBERS]]
    return {MEMBERS: members, "model": members[state["leader_id"]]["model"]}


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
            [part["tracker"] for part in parts],
            begun["tracker"],
            num_agents,
            ranks,
            is_by_member=MEMBERS in state,
        ),
    }


def is_dealt_anew(state: Dict[str, Any], ranks: Ranks) -> bool:
    """Tell whether the state was saved by another number of ranks."""
    return 1 + len(state.get(OTHERS, [])) != ranks.size


def env_of(state: Dict[str, Any], member: int) -> Tuple[Dict[str, Any], int]:
    """Return the environments that a member trains in, and which agent it is there."""
    parts = [state["env"], *(part["env"] for part in state.get(OTHERS, []))]
    num_here = len(state.get(MEMBERS, [])) // len(parts)
    return (parts[member // num_here], member % num_here) if num_here else (parts[0], member)


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
    parts: List[Dict[str, Any]],
    fresh: Dict[str, Any],
    num_agents: int,
    ranks: Ranks,
    is_by_member: bool,
) -> Dict[str, Any]:
    """Deal what episodes reached, agent by agent; running episodes are over."""
    by_env, by_agent = ("last", "is_known"), ("window", "returns")
    columns = {name: [part[name] for part in parts] for name in (*by_env, *by_agent)}
    if is_by_member:  # one after another, like their environments
        dealt = {name: _deal(column, 1, ranks) for name, column in columns.items()}
    else:
        dealt = {name: _deal(columns[name], num_agents, ranks) for name in by_env}
        # Sums over the environments of a rank: rank 0 takes those of all.
        share = 1.0 if ranks.rank == 0 else 0.0
        dealt.update({name: share * torch.stack(columns[name]).sum(0) for name in by_agent})
    return {**parts[0], **dealt, "return": fresh["return"], "length": fresh["length"]}


def _deal(parts: List[Tensor], num_agents: int, ranks: Ranks) -> Tensor:
    """Return this rank's part [..., N / W] of what all former ranks have, block by block."""
    blocks = [part.unflatten(-1, (num_agents, -1)) for part in parts]  # [..., K, E / W']
    block = torch.cat(blocks, dim=-1)  # [..., K, E]
    share = block.shape[-1] // ranks.size
    return block.narrow(-1, ranks.rank * share, share).flatten(-2)
