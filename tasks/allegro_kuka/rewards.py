"""Reward terms and the bookkeeping that they move."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Tuple, Union

import torch
from torch import Tensor

from tasks.allegro_kuka.actions import NUM_ARM_JOINTS
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.episode import Episode
from tasks.allegro_kuka.geometry import Geometry

TERMS = (
    "fingertip",
    "lifting",
    "lift_bonus",
    "keypoint",
    "success",
    "arm_penalty",
    "hand_penalty",
    "hold",
)
"""Rows of `Score.terms`."""
_LIFT_ORIGIN_M = 0.58
"""Object height that counts as zero: 5 cm below the nominal spawn, whatever the object."""
_MAX_LIFT_M = 0.5
_MAX_FINGERTIP_STEP_M = 10.0
_MAX_KEYPOINT_STEP_M = 100.0


class Score(NamedTuple):
    """Outcome of one control step.

    Attributes:
        terms: [R, N] reward terms in the order of `TERMS`, task units.
        success: [N] bool, the goal was reached.
        episode: bookkeeping after the step.
    """

    terms: Tensor
    success: Tensor
    episode: Episode


def score(
    cfg: AllegroKukaCfg,
    episode: Episode,
    geometry: Geometry,
    object_height: Tensor,
    joint_vel: Tensor,
    tolerance: Tensor,
    valid: Tensor,
    lift_threshold: Tensor,
    held: Tensor,
) -> Score:
    """Reward one control step and keep the books.

    Args:
        cfg: coefficients and hold rule.
        episode: bookkeeping with no minimum unset and `progress` counting this step.
        geometry: present points and distances.
        object_height: [N] of the object's centre, m.
        joint_vel: [N, 23 A] rad/s.
        tolerance: [N] float64 present tolerance, m.
        valid: [N] bool, worlds whose physics can be trusted; the others earn nothing.
        lift_threshold: [N] height above 0.58 m that counts as lifted, m.
        held: [N] bool, a hand holds the object.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, compute_kuka_reward and the rewards it calls.
    """
    reward = cfg.reward
    lift, bonus, lifted = lifting(object_height, episode.lifted, lift_threshold)
    fingertip, closest_fingertip = approach(
        episode.closest_fingertip, geometry.fingertip_distance, _MAX_FINGERTIP_STEP_M
    )
    fingertip = fingertip.sum(0) if reward.fingertip_after_lifting else fingertip.sum(0) * ~lifted
    distance = geometry.keypoint_distance
    keypoint, closest_keypoint = approach(episode.closest_keypoint, distance, _MAX_KEYPOINT_STEP_M)
    held = held & valid
    near = _is_near(cfg, geometry, tolerance) & (held if cfg.success_in_hand else valid)
    near_steps, paid_steps = hold(episode, near, cfg.consecutive_hold)
    success = near & (near_steps >= cfg.success_hold_steps)
    arm_speed, hand_speed = joint_speeds(joint_vel)
    terms = torch.stack(
        (
            fingertip * reward.fingertip,
            lift * reward.lifting,
            bonus * reward.lift_bonus,
            keypoint * lifted * reward.keypoint,
            paid_steps * (reward.success / cfg.success_hold_steps),
            arm_speed * -reward.arm_penalty,
            hand_speed * -reward.hand_penalty,
            held * reward.hold,
        )
    ).masked_fill(~valid, 0.0)
    after = replace(
        episode,
        progress=episode.progress.masked_fill(success, 0),
        successes=episode.successes + success,
        near_steps=near_steps,
        most_near_steps=episode.most_near_steps + paid_steps,
        held_steps=episode.held_steps + held,
        lifted=lifted,
        was_lifted=episode.was_lifted | (lifted & valid),
        closest_keypoint=closest_keypoint,
        closest_fingertip=closest_fingertip,
    )
    return Score(terms, success, after)


def _is_near(cfg: AllegroKukaCfg, geometry: Geometry, tolerance: Tensor) -> Tensor:
    """Return which objects [N] have every keypoint within the tolerance."""
    reach = (tolerance * cfg.keypoint_scale).to(geometry.keypoint_distance.dtype)
    return geometry.keypoint_distance <= reach


def lifting(
    object_height: Tensor, lifted: Tensor, threshold: Union[Tensor, float]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Reward raising the object until it is lifted, and the step that lifts it.

    Args:
        object_height: [N] m.
        lifted: [N] bool, before this step.
        threshold: height above 0.58 m that counts as lifted, m; [N] or one for all.

    Returns:
        height earned [N] m, bonus [N] bool, lifted [N] bool after this step.
    """
    height = object_height - _LIFT_ORIGIN_M
    now = lifted | (height > threshold)
    return height.clamp(0.0, _MAX_LIFT_M) * ~now, now & ~lifted, now


def approach(closest: Tensor, distance: Tensor, limit_m: float) -> Tuple[Tensor, Tensor]:
    """Return how much closer than ever `distance` came, m, and the new closest distance, m."""
    return (closest - distance).clamp(0.0, limit_m), torch.minimum(closest, distance)


def hold(episode: Episode, near: Tensor, consecutive: bool) -> Tuple[Tensor, Tensor]:
    """Count the steps near the goal, in total or `consecutive` ones only.

    A goal pays its steps once: those of a hold that was broken before are not paid again.

    Returns:
        steps near the goal [N] int64, steps to pay now [N] int64, 0 or 1.
    """
    steps = episode.near_steps + near
    if consecutive:
        steps = steps * near
    return steps, (steps - episode.most_near_steps).clamp(min=0)


def joint_speeds(joint_vel: Tensor) -> Tuple[Tensor, Tensor]:
    """Sum the absolute joint velocities [N, 23 A] over arm and over finger joints [N], rad/s."""
    speed = joint_vel.abs().view(len(joint_vel), -1, 23)
    return speed[..., :NUM_ARM_JOINTS].sum((1, 2)), speed[..., NUM_ARM_JOINTS:].sum((1, 2))
