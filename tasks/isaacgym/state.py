"""What changes in a task of isaacgymenvs, taken out for a checkpoint and put back.

Its own `get_env_state` is not used: the original's holds the tolerance only, and those of forks
differ from each other.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import Any, Dict, Iterator

import torch

TENSORS = (
    "dof_state",
    "root_state_tensor",
    "prev_targets",
    "cur_targets",
    "rb_forces",
    "random_force_prob",
    "goal_states",
    "progress_buf",
    "reset_goal_buf",
    "successes",
    "prev_episode_successes",
    "true_objective",
    "prev_episode_true_objective",
    "near_goal_steps",
    "lifted_object",
    "closest_keypoint_max_dist",
    "closest_fingertip_dist",
    "furthest_hand_dist",
)
"""Members that are tensors; the last one exists with one arm only."""
NUMBERS = ("success_tolerance", "frame_since_restart", "last_curriculum_update")
"""Members that are Python numbers: the curriculum."""

RESULTS = (
    "successes",
    "prev_episode_successes",
    "true_objective",
    "prev_episode_true_objective",
    "last_success_step",
    "success_time",
    "total_num_resets",
    "successes_count",
)
"""Members that count what episodes reached; the last four exist with `evalStats` only."""


@contextmanager
def leave_no_trace(env: Any) -> Iterator[None]:
    """Let a fresh task step without its counters, curriculum and statistics taking note.

    What a reset of all environments starts over (poses, clocks, goals) is not put back.
    """
    numbers = {name: x for name, x in vars(env).items() if isinstance(x, (int, float))}
    yield
    for name, value in numbers.items():
        setattr(env, name, value)
    for name in RESULTS:
        if hasattr(env, name):
            getattr(env, name).zero_()


def capture(env: Any) -> Dict[str, Any]:
    """Copy the state between two steps, with that of torch's own random numbers.

    Isaac Gym's tasks draw from torch's global generators.
    """
    device = torch.device(env.device)
    return {
        "tensors": {name: getattr(env, name).clone() for name in TENSORS if hasattr(env, name)},
        "numbers": {name: getattr(env, name) for name in NUMBERS},
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore(env: Any, state: Dict[str, Any]) -> None:
    """Put a captured state back, right after a reset of all environments.

    The reset has marked the poses of all objects, goals and movable walls as to be written before
    the next simulation; they are written with the values put here. PhysX's own memory of contacts
    is lost, so the episodes continue from the same state, not bit by bit.
    """
    for name, value in state["tensors"].items():
        getattr(env, name).copy_(value)
    for name, value in state["numbers"].items():
        setattr(env, name, value)
    gymtorch = importlib.import_module("isaacgym.gymtorch")
    env.gym.set_dof_state_tensor(env.sim, gymtorch.unwrap_tensor(env.dof_state))
    torch.set_rng_state(state["random"].cpu())
    if state["random_cuda"] is not None:
        torch.cuda.set_rng_state(state["random_cuda"].cpu(), torch.device(env.device))
