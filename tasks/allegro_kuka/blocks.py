"""Names and ranges of the parts of the observation, the same on every engine.

Source: IsaacGymEnvs `allegro_kuka_base.py` and `allegro_kuka_two_arms.py`, compute_full_state.
Units and frames of the parts: docs/isaacgym.md.
"""

from __future__ import annotations

from typing import Dict

from tasks.allegro_kuka.geometry import KEYPOINT_CORNERS
from tasks.allegro_kuka.robot import FINGERS, JOINT_NAMES

BODY = {"quat": slice(0, 4), "linvel": slice(4, 7), "angvel": slice(7, 10)}
"""Parts of the 10 numbers of each body in `palm_body` and `object_body`; quaternions are xyzw."""


def blocks(subtask: str, num_arms: int, observe_wall: bool = False) -> Dict[str, slice]:
    """Return the range of every part, in their order.

    Parts of several robots, fingers or keypoints repeat the smaller part: `palm_body` of two arms
    is 10 numbers of the first arm, then 10 of the second; `keypoint_to_palm` is all keypoints
    relative to the first palm, then all relative to the second.

    Args:
        subtask: as in `task.subtask`.
        num_arms: as in `task.num_arms`.
        observe_wall: as in `task.observe_wall`.
    """
    arms, tips = num_arms, num_arms * len(FINGERS)
    keypoints = len(KEYPOINT_CORNERS[subtask])
    sizes = {
        "joint_position": arms * len(JOINT_NAMES),
        "joint_velocity": arms * len(JOINT_NAMES),
        "palm_position": 3 * arms,
        "palm_body": 10 * arms,
        "object_body": 10,
        "fingertip_to_palm": 3 * tips,
        "keypoint_to_palm": 3 * keypoints * arms,
        "keypoint_to_goal": 3 * keypoints,
        "object_scale": 3,
        "closest_keypoint": 1,
        "closest_fingertip": tips if arms == 1 else 0,
        "lifted": 1,
        "progress": 1,
        "successes": 1,
        "reward": 1,
        "wall_pose": 7 if observe_wall else 0,
    }
    ranges, start = {}, 0
    for name, size in sizes.items():
        if size:
            ranges[name] = slice(start, start + size)
        start += size
    return ranges
