"""Is the object held: in the air, near a palm and moving with it?"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.allegro_kuka.geometry import Geometry, Readout, vertical_half_extent
from tasks.allegro_kuka.resets import TABLE_TOP_M

CLEARANCE_M = 0.02
"""Gap between a held object and the table, m."""
REACH_M = 0.15
"""Most distance of a held object's centre from a palm centre, m."""
SLIP_M_PER_S = 0.2
"""Most speed of a held object's centre in the frame of the hand, m/s. Beside a hand at rest a
thrown object is as slow as that for 2 x 0.2 / 9.81 = 41 ms, at most 3 control steps."""


def is_held(state: Readout, geometry: Geometry, half_size: Tensor) -> Tensor:
    """Return where a hand holds the object, [N] bool.

    Held means: its lowest point is `CLEARANCE_M` above the table's top, its centre is within
    `REACH_M` of a palm centre, and it moves with that palm, up to `SLIP_M_PER_S`. Contacts are
    not asked for, so that every engine can answer.

    Args:
        state: its sites are used: object, then one palm per arm.
        geometry: points of the same moment.
        half_size: [N, 3] half edges, m.
    """
    num_arms = len(geometry.palm)
    lowest = state.site_pos[:, 0, 2] - vertical_half_extent(state.site_quat[:, 0], half_size)
    centre = state.site_pos[:, :1]  # [N, 1, 3]
    arms = slice(1, 1 + num_arms)
    # Rigid motion of the hand at the object's centre: v + w x r.
    lever = centre - state.site_pos[:, arms]
    carried = state.site_linvel[:, arms] + torch.linalg.cross(state.site_angvel[:, arms], lever)
    slip = (state.site_linvel[:, :1] - carried).norm(dim=-1)  # [N, A]
    distance = (centre - geometry.palm.permute(2, 0, 1)).norm(dim=-1)
    in_hand = (slip <= SLIP_M_PER_S) & (distance <= REACH_M)
    return in_hand.any(1) & (lowest > TABLE_TOP_M + CLEARANCE_M)
