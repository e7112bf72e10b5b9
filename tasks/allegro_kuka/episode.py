"""What an environment remembers of the present episode and goal."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import Geometry, Rows

UNSET = -1.0
"""Value of a closest distance before its first measurement."""


@dataclass(frozen=True)
class Episode:
    """Bookkeeping of N environments; changed by replacing, so old tensors stay valid.

    Attributes:
        progress: [N] int64 control steps since the episode began or the last success.
        steps: [N] int64 control steps since the episode began.
        held_steps: [N] int64 of these with the object in a hand.
        successes: [N] goals reached.
        near_steps: [N] int64 control steps near the present goal.
        most_near_steps: [N] int64 the most that `near_steps` was for this goal: what is paid.
        lifted: [N] bool, the object was lifted since it was placed.
        was_lifted: [N] bool, it was lifted at any time of the episode.
        closest_keypoint: [N] least keypoint distance to the present goal, m; -1 = unset.
        closest_fingertip: [F, N] least distances to the object since it was placed, m; -1 = unset.
        previous_successes: [N] successes of the last whole episode before.
        is_partial: [N] bool, the episode began with a late clock.
    """

    progress: Tensor
    steps: Tensor
    held_steps: Tensor
    successes: Tensor
    near_steps: Tensor
    most_near_steps: Tensor
    lifted: Tensor
    was_lifted: Tensor
    closest_keypoint: Tensor
    closest_fingertip: Tensor
    previous_successes: Tensor
    is_partial: Tensor


def begin(num_envs: int, num_fingertips: int, device: torch.device) -> Episode:
    """Return the bookkeeping of environments that have done nothing."""
    count = torch.zeros(num_envs, dtype=torch.int64, device=device)
    never = torch.zeros(num_envs, dtype=torch.bool, device=device)
    zero = torch.zeros(num_envs, device=device)
    return Episode(
        progress=count,
        steps=count,
        held_steps=count,
        successes=zero,
        near_steps=count,
        most_near_steps=count,
        lifted=never,
        was_lifted=never,
        closest_keypoint=torch.full((num_envs,), UNSET, device=device),
        closest_fingertip=torch.full((num_fingertips, num_envs), UNSET, device=device),
        previous_successes=zero,
        is_partial=never,
    )


def at(episode: Episode, rows: Rows) -> Episode:
    """Return the bookkeeping of the environments `rows`."""
    return Episode(*(getattr(episode, item.name)[..., rows] for item in fields(Episode)))


def put(into: Tensor, rows: Rows, mask: Tensor, value: Tensor) -> None:
    """Write `value` [M, ...] to the `rows` of `into` [N, ...] where `mask` [N] holds."""
    chosen = mask[rows].view(-1, *[1] * (value.dim() - 1))
    into[rows] = torch.where(chosen, value, into[rows])


def late(episode: Episode, elapsed: Tensor) -> Episode:
    """Let the clocks of episodes that have just started show `elapsed` [N] int64 control steps."""
    return replace(episode, progress=elapsed, is_partial=elapsed > 0)


def with_minima(episode: Episode, geometry: Geometry) -> Episode:
    """Let closest distances that are unset take their present value."""
    keypoint, fingertip = episode.closest_keypoint, episode.closest_fingertip
    return replace(
        episode,
        closest_keypoint=torch.where(keypoint < 0, geometry.keypoint_distance, keypoint),
        closest_fingertip=torch.where(fingertip < 0, geometry.fingertip_distance, fingertip),
    )


def restart(episode: Episode, ended: Tensor, new_goal: Tensor, placed: Tensor) -> Episode:
    """Forget what does not outlive a new episode, a new goal, a newly placed object.

    Args:
        episode: bookkeeping after a control step.
        ended: [N] bool, where a new episode begins.
        new_goal: [N] bool, where the goal is replaced; holds wherever `ended` does.
        placed: [N] bool, where the object is put back; holds wherever `ended` does.
    """
    return Episode(
        progress=episode.progress.masked_fill(ended, 0),
        steps=episode.steps.masked_fill(ended, 0),
        held_steps=episode.held_steps.masked_fill(ended, 0),
        successes=episode.successes.masked_fill(ended, 0.0),
        near_steps=episode.near_steps.masked_fill(new_goal, 0),
        most_near_steps=episode.most_near_steps.masked_fill(new_goal, 0),
        lifted=episode.lifted & ~placed,
        was_lifted=episode.was_lifted & ~ended,
        closest_keypoint=episode.closest_keypoint.masked_fill(new_goal, UNSET),
        closest_fingertip=episode.closest_fingertip.masked_fill(placed, UNSET),
        previous_successes=torch.where(
            ended & ~episode.is_partial, episode.successes, episode.previous_successes
        ),
        is_partial=episode.is_partial & ~ended,
    )
