"""What the numbers of Allegro-Kuka observations and actions are."""

from __future__ import annotations

from typing import Dict

from tasks.allegro_kuka.blocks import blocks
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.observations import LIMIT
from tasks.allegro_kuka.robot import JOINT_NAMES
from tasks.description import Description, Part

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
    "reward": "0.01 x reward of this step; 0 where none is computed",
    "wall_pose": "m and quaternion xyzw of the movable wall, world frame",
}
"""Content of the parts of an observation."""


def describe(cfg: AllegroKukaCfg) -> Description:
    """Describe the vectors of a task."""
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
