"""Random forces that push the object."""

from __future__ import annotations

from torch import Tensor


def hit_probability(u: Tensor, low: float, high: float) -> Tensor:
    """Map `u` [N], uniform in [0, 1), to a log-uniform chance [N] in (low, high]."""
    return high * (low / high) ** u


def decay_per_step(decay: float, interval_s: float, control_dt_s: float) -> float:
    """Return the factor by which a force fades per control step."""
    return decay ** (control_dt_s / interval_s)


def update(force: Tensor, hit: Tensor, draw: Tensor, std: Tensor, decay: float) -> Tensor:
    """Let forces fade, and replace those that are `hit`.

    Args:
        force: [N, 3] in the object's frame, so it turns with the object, N.
        hit: [N] bool, where a new force begins.
        draw: [N, 3] standard normal.
        std: [N] standard deviation of a new force, N.
        decay: factor per control step.

    Returns:
        [N, 3] force of this control step, object frame, N.

    Source: IsaacGymEnvs `allegro_kuka_base.py`, pre_physics_step.
    """
    return (force * decay).where(~hit[:, None], draw * std[:, None])
