"""How many contacts and constraint rows the GPU engine makes room for."""

# pyright: reportAttributeAccessIssue=false
# MuJoCo's compiled modules come without type stubs.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tasks.engines.config import MujocoWarpCfg

CONTACTS_PER_GEOM = 4
MOST_CONTACTS = 64
ROWS_PER_CONTACT = 4
"""Of the estimate: four corners of a box, a friction cone of three dimensions or a little more."""


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

    def chosen(self, cfg: MujocoWarpCfg) -> Capacity:
        """Return the room with what the user set."""
        return Capacity(cfg.max_contacts or self.contacts, cfg.max_constraints or self.constraints)


def estimate(mj: Any) -> Capacity:
    """Guess the room of a `mujoco.MjModel`; the engine counts and says where it is too small.

    Every geom that can touch something does so with four contacts, and all limits, frictions and
    equalities hold at once.
    """
    num = int(np.count_nonzero((mj.geom_contype | mj.geom_conaffinity) != 0))
    contacts = min(CONTACTS_PER_GEOM * num, MOST_CONTACTS)
    limits = np.count_nonzero(mj.jnt_limited) + np.count_nonzero(mj.tendon_limited)
    frictions = np.count_nonzero(mj.dof_frictionloss) + np.count_nonzero(mj.tendon_frictionloss)
    rows = int(limits + frictions + 6 * mj.neq + ROWS_PER_CONTACT * contacts)
    return Capacity(max(contacts, 1), max(rows, 1))
