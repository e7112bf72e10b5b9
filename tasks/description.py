"""What the numbers of observations and actions are, for people who drive a robot with them."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

from tasks.allegro_kuka.blocks import blocks
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.observations import LIMIT
from tasks.allegro_kuka.robot import JOINT_NAMES


class Part(NamedTuple):
    """A range of a vector.

    Attributes:
        name: of the part.
        start, stop: range, `stop` not included.
        meaning: content with its unit.
    """

    name: str
    start: int
    stop: int
    meaning: str


class Description(NamedTuple):
    """Layout of a task's vectors.

    Attributes:
        observation: parts of the observation, in their order.
        action: parts of the action.
        notes: what else a controller must do.
    """

    observation: List[Part]
    action: List[Part]
    notes: List[str]


MEANINGS: Dict[str, str] = {
    "joint_position": "limits scaled to +-1; of each robot 7 arm joints, then 4 of each finger",
    "joint_velocity": "rad/s, in the order of the positions",
    "palm_position": "m, world frame: palm centre, link 7 plus (0, -0.02, 0.16) in its frame",
    "palm_body": "link 7: quaternion xyzw, velocity m/s, angular velocity rad/s, world frame",
    "object_body": "box: quaternion xyzw, velocity m/s, angular velocity rad/s, world frame",
    "fingertip_to_palm": "m: fingertips minus their own palm centre",
    "keypoint_to_palm": "m: keypoints minus palm centre, all keypoints for each arm",
    "keypoint_to_goal": "m: keypoints minus those of the goal",
    "object_scale": "edges, 1 = 0.05 m",
    "closest_keypoint": "m: least distance of the farthest keypoint for this goal",
    "closest_fingertip": "m: least distances of the fingertips to the box since it was placed",
    "lifted": "0 or 1: the box was lifted before this step",
    "progress": "ln(control steps since start or success / 10 + 1)",
    "successes": "ln(goals reached before this step + 1)",
    "reward": "0.01 x reward of this step; 0 where nobody computes one",
    "wall_pose": "m and quaternion xyzw of the movable wall, world frame",
}
"""Content of the parts of an Allegro-Kuka observation."""


def describe(task_cfg: Any, observation_dim: int, action_dim: int) -> Description:
    """Describe a task's vectors; one part each where nothing more is known.

    Args:
        task_cfg: a task schema, filled.
        observation_dim: O.
        action_dim: A.
    """
    if isinstance(task_cfg, AllegroKukaCfg):
        return _allegro_kuka(task_cfg)
    return Description(
        [Part("observation", 0, observation_dim, "task units, as the environment gives it")],
        [Part("action", 0, action_dim, "[-1, 1] of the range of the action, or index of a choice")],
        [],
    )


def _allegro_kuka(cfg: AllegroKukaCfg) -> Description:
    parts = blocks(cfg.subtask, cfg.num_arms, cfg.observe_wall)
    observation = [Part(n, r.start, r.stop, MEANINGS[n]) for n, r in parts.items()]
    if cfg.arm_action == "delta":
        arm = (
            f"[-1, 1]: speed of the joint target, 1 = {cfg.arm_speed:g} rad/s, which is integrated"
        )
    else:
        arm = "[-1, 1]: joint target within the joint's limits"
    action, size = [], len(JOINT_NAMES)
    for robot in range(cfg.num_arms):
        first = robot * size
        action.append(Part(f"arm_{robot}", first, first + 7, arm))
        hand = "[-1, 1]: joint target within the joint's limits: index, middle, ring, thumb"
        action.append(Part(f"hand_{robot}", first + 7, first + size, hand))
    notes = [f"clamp every entry of the observation to +-{LIMIT:g}"]
    return Description(observation, action, notes)
