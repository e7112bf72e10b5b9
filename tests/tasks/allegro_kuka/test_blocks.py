from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest
import torch

from tasks.allegro_kuka import observations
from tasks.allegro_kuka.blocks import BODY, blocks
from tasks.allegro_kuka.observations import scale_joints
from tests.golden import golden

DOC = Path(__file__).resolve().parents[3] / "docs" / "isaacgym.md"
VARIANTS = [(1, "reorientation"), (1, "regrasping"), (2, "reorientation"), (2, "regrasping")]
ONE_ARM_REORIENTATION = {
    "joint_position": (0, 23),
    "joint_velocity": (23, 46),
    "palm_position": (46, 49),
    "palm_body": (49, 59),
    "object_body": (59, 69),
    "fingertip_to_palm": (69, 81),
    "keypoint_to_palm": (81, 93),
    "keypoint_to_goal": (93, 105),
    "object_scale": (105, 108),
    "closest_keypoint": (108, 109),
    "closest_fingertip": (109, 113),
    "lifted": (113, 114),
    "progress": (114, 115),
    "successes": (115, 116),
    "reward": (116, 117),
}
TWO_ARM_REGRASPING = {
    "joint_position": (0, 46),
    "joint_velocity": (46, 92),
    "palm_position": (92, 98),
    "palm_body": (98, 118),
    "object_body": (118, 128),
    "fingertip_to_palm": (128, 152),
    "keypoint_to_palm": (152, 158),
    "keypoint_to_goal": (158, 161),
    "object_scale": (161, 164),
    "closest_keypoint": (164, 165),
    "lifted": (165, 166),
    "progress": (166, 167),
    "successes": (167, 168),
    "reward": (168, 169),
}


def ends(subtask: str, num_arms: int) -> Dict[str, Tuple[int, int]]:
    return {name: (b.start, b.stop) for name, b in blocks(subtask, num_arms).items()}


def test_ranges_are_those_of_the_original() -> None:
    assert ends("reorientation", 1) == ONE_ARM_REORIENTATION
    assert ends("regrasping", 2) == TWO_ARM_REGRASPING
    assert list(ends("reorientation", 1)) == list(ONE_ARM_REORIENTATION)


@pytest.mark.parametrize(
    ("num_arms", "subtask", "size"),
    [
        (1, "reorientation", 117),
        (1, "regrasping", 99),
        (1, "throw", 99),
        (2, "reorientation", 196),
        (2, "regrasping", 169),
    ],
)
def test_ranges_cover_the_observation(num_arms: int, subtask: str, size: int) -> None:
    for observe_wall in (False, True):
        last = list(blocks(subtask, num_arms, observe_wall).values())[-1].stop
        assert last == observations.dimension(subtask, num_arms, observe_wall)
        assert last == size + 7 * observe_wall


@pytest.mark.parametrize(("num_arms", "subtask"), VARIANTS)
def test_parts_of_the_originals_observation_are_what_their_names_say(
    num_arms: int, subtask: str
) -> None:
    family = {1: "one_arm", 2: "two_arms"}[num_arms]
    data = golden(f"allegro_kuka_{family}_{subtask}.npz")
    steps, num = data["obs"].shape[:2]

    def part(name: str) -> np.ndarray:
        return data["obs"][..., blocks(subtask, num_arms)[name]]

    def body(name: str) -> np.ndarray:
        names = ("quat", "lin_vel", "ang_vel")
        return np.concatenate([data[f"{name}_{kind}"] for kind in names], axis=-1)

    lower, upper = (torch.from_numpy(data[f"joint_{end}"]) for end in ("lower", "upper"))
    scaled = scale_joints(torch.from_numpy(data["joint_pos"]), lower, upper).numpy()
    scale = np.broadcast_to(data["object_scale"], (steps, num, 3))
    for name, expected in (
        ("joint_position", scaled),
        ("joint_velocity", data["joint_vel"]),
        ("palm_body", body("palm").reshape(steps, num, -1)),
        ("object_body", body("object")),
        ("object_scale", scale),
        ("reward", 0.01 * data["reward"][..., None]),
    ):
        np.testing.assert_allclose(part(name), expected.clip(-10, 10), rtol=1e-5, atol=1e-5)
    if subtask == "regrasping":  # One keypoint, the centre.
        to_goal = data["object_pos"] - data["goal_pos"]
        np.testing.assert_allclose(part("keypoint_to_goal"), to_goal, rtol=0, atol=1e-5)
    assert set(np.unique(part("lifted"))) == {0.0, 1.0}


def test_body_parts_add_up_to_a_body() -> None:
    assert [part.stop - part.start for part in BODY.values()] == [4, 3, 3]
    assert BODY["angvel"].stop == 10


def table(text: str) -> List[List[str]]:
    """Read the table of ranges in the document: name and one range per task."""
    section = text.split("## Observation", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in row] for row in rows[2:]]


def test_document_shows_these_ranges() -> None:
    rows = table(DOC.read_text(encoding="utf-8"))
    for column, (num_arms, subtask) in enumerate(VARIANTS, start=1):
        shown = {row[0]: row[column] for row in rows if re.match(r"\d", row[column])}
        assert list(shown) == list(blocks(subtask, num_arms))
        for name, block in blocks(subtask, num_arms).items():
            last = block.stop - 1
            expected = f"{block.start}-{last}" if last > block.start else f"{last}"
            assert shown[name] == expected
