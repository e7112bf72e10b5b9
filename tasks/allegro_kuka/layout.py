"""Where the robots, the object and the sensors are in a compiled scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Addresses of a scene's parts."""

    num_arms: int
    joint_names: tuple[str, ...]
    joint_qpos: slice
    joint_dof: slice
    object_qpos: slice
    """Free joint of the object: position, quaternion wxyz."""
    object_dof: slice
    """Free joint of the object: linear velocity in the world, angular in the body frame."""
    object_body: int
    object_geom: int
    goal_mocap: int
    goal_geom: int
    """Of a bucket, its first stave."""
    goal_copies_object: bool
    """The goal marker is a box with the half sizes of the object, else it keeps its size."""
    goal_collides: bool
    """The goal is a thing to hit, such as a bucket, else it touches nothing."""
    wall_qpos: slice
    """Free joint of the movable wall, as `object_qpos`; empty without one."""
    wall_dof: slice
    """Free joint of the movable wall, as `object_dof`; empty without one."""
    site_pos: slice
    """In `sensordata`, S sites in a row; likewise the next three."""
    site_quat: slice
    site_linvel: slice
    site_angvel: slice
    home_key: int
    """Keyframe with the robots at home and the object above the table."""

    @property
    def num_sites(self) -> int:
        """S: the object, and a palm and four fingertips of every robot."""
        return 1 + 5 * self.num_arms
