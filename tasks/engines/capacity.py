"""How many contacts and constraint rows the GPU engine makes room for."""

from __future__ import annotations

from typing import NamedTuple

from tasks.engines.config import MujocoWarpCfg
from tasks.engines.layout import Layout


class Capacity(NamedTuple):
    """Room for the contacts and constraints of one world.

    Attributes:
        contacts: on average over the worlds, which share one buffer.
        constraints: rows, a hard limit.
    """

    contacts: int
    constraints: int

    def all_contacts(self, num_envs: int) -> int:
        """Return the size of the shared buffer; a few worlds may all be busy at once."""
        return num_envs * self.contacts + 1024


_ROOM = {1: Capacity(24, 224), 2: Capacity(32, 256)}
"""By number of arms.

Measured with MuJoCo on CPUs, 256 worlds x 300 control steps per task, random actions, after every
physics step. One arm: at most 125 rows in a world, at most 6.1 contacts on average over the
worlds at one moment (192 and 6.1 when all 947 boxes start 2 cm above the table). Two arms: 155
and 6.8; with the movable partition 164 and 10.7. A scripted grasp needs 44 rows and 4.4
contacts. The room is at least 1.5 times the most rows of the tasks and 3 times the contacts.
"""
_BUCKET_ROWS = 320
"""With the bucket, which may be put down right on the hand: at most 272 rows in 654 such worlds."""


def capacity(layout: Layout, cfg: MujocoWarpCfg) -> Capacity:
    """Return the room of a scene, or what the user set."""
    contacts, constraints = _ROOM[layout.num_arms]
    if layout.goal_collides:
        constraints = max(constraints, _BUCKET_ROWS)
    return Capacity(cfg.max_contacts or contacts, cfg.max_constraints or constraints)
