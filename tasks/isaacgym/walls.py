"""Two-arm reorientation with a wall between the arms, as a task of isaacgymenvs.

Source: YifanSu1301/EPO, `allegro_kuka_two_arms_reorientation.py`, for the sizes of the hole and how
it is created; EPO paper (arXiv 2503.19037), section 5.1, for the other walls, whose sizes are ours
and the same as in `allegro_kuka/walls.py`.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, NamedTuple, Tuple

THICKNESS_M, WIDTH_M = 0.05, 0.4
"""Sizes of every wall along x and y, m."""


class Wall(NamedTuple):
    """A box around the vertical axis through the origin.

    Attributes:
        centre_m: height of its centre, m.
        height_m: its size along z, m.
        mass: kg; 0: it stands fixed.
    """

    centre_m: float
    height_m: float
    mass: float


WALLS: Dict[str, Tuple[Wall, ...]] = {
    "none": (),
    "hole": (Wall(0.65, 0.3, 0.0), Wall(1.5, 1.0, 0.0)),
    "barrier": (Wall(1.25, 1.5, 0.0),),
    "partition": (Wall(0.681, 0.3, 0.5),),
}
"""Boxes by `task.wall`."""


def register(wall: str) -> str:
    """Make two-arm reorientation with `wall` known to isaacgymenvs and return its task name."""
    tasks = importlib.import_module("isaacgymenvs.tasks")
    module = "isaacgymenvs.tasks.allegro_kuka.allegro_kuka_two_arms_reorientation"
    base = importlib.import_module(module).AllegroKukaTwoArmsReorientation
    gymapi = importlib.import_module("isaacgym.gymapi")
    name = f"AllegroKukaTwoArms{wall.capitalize()}"
    tasks.isaacgym_task_map[name] = make_class(base, gymapi, WALLS[wall])
    return name


def make_class(base: Any, gymapi: Any, walls: Tuple[Wall, ...]) -> Any:
    """Derive from the task `base` one with `walls`; at most one of them is movable.

    Walls join the collision group of their environment, so that goals pass through them. A movable
    wall is put back upright at every episode reset, not when only the goal changes.
    """

    class WalledReorientation(base):
        """Two-arm reorientation with walls."""

        def _load_additional_assets(self, object_asset_root, arm_pose):
            bodies, shapes = super()._load_additional_assets(object_asset_root, arm_pose)
            self.wall_assets = [_load(self.gym, self.sim, gymapi, wall) for wall in walls]
            self.movable_wall_indices = []
            return bodies + len(walls), shapes + len(walls)

        def _create_additional_objects(self, env_ptr, env_idx, object_asset_idx):
            super()._create_additional_objects(env_ptr, env_idx, object_asset_idx)
            for number, (wall, asset) in enumerate(zip(walls, self.wall_assets)):
                pose = gymapi.Transform()
                pose.p = gymapi.Vec3(0.0, 0.0, wall.centre_m)
                name = f"wall{number}"
                actor = self.gym.create_actor(env_ptr, asset, pose, name, env_idx, 0, 0)
                if wall.mass:
                    index = self.gym.get_actor_index(env_ptr, actor, gymapi.DOMAIN_SIM)
                    self.movable_wall_indices.append(index)

        def _after_envs_created(self):
            super()._after_envs_created()
            like = self.object_indices
            self.movable_wall_indices = like.new_tensor(self.movable_wall_indices)

        def _extra_object_indices(self, env_ids):
            indices = super()._extra_object_indices(env_ids)
            if len(self.movable_wall_indices):
                indices = [*indices, self.movable_wall_indices[env_ids]]
            return indices

        def reset_idx(self, env_ids):
            if len(self.movable_wall_indices):
                rows = self.root_state_tensor.new_zeros(len(env_ids), 13)
                rows[:, 2] = walls[0].centre_m
                rows[:, 6] = 1.0  # xyzw
                self.root_state_tensor[self.movable_wall_indices[env_ids]] = rows
            super().reset_idx(env_ids)

    return WalledReorientation


def _load(gym: Any, sim: Any, gymapi: Any, wall: Wall) -> Any:
    """Create the asset of a wall."""
    options = gymapi.AssetOptions()
    options.fix_base_link = options.disable_gravity = not wall.mass
    if wall.mass:
        options.density = wall.mass / (THICKNESS_M * WIDTH_M * wall.height_m)
    return gym.create_box(sim, THICKNESS_M, WIDTH_M, wall.height_m, options)
