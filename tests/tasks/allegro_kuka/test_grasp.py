"""Scripted grasp: boxes are picked up from perturbed poses, lifted and held for five seconds."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest

pytest.importorskip("mujoco.batch")

import torch
from torch import Tensor

from tasks.allegro_kuka.physics import PHYSICS_PRESETS
from tasks.allegro_kuka.resets import TABLE_TOP_M
from tasks.allegro_kuka.robot import AT_OBJECT_ARM, AT_OBJECT_HAND
from tasks.allegro_kuka.robot_worlds import RobotWorlds
from tests.tasks.worlds import worlds

# Arm set-points of the grasp, rad: above the object, around it, 0.2 m up.
UP = torch.tensor([-1.599, 1.362, 0.017, 1.016, 0.022, 1.385, 2.332])
DOWN = torch.tensor(AT_OBJECT_ARM)
LIFT = torch.tensor([-1.603, 1.038, 0.015, 0.564, 0.024, 1.258, 2.332])
# Hand joints open and closed: index, middle, ring, thumb.
OPEN = torch.tensor(AT_OBJECT_HAND)
CLOSED = torch.tensor(
    [-0.06, 1.14, 0.94, 0.91, 0.0, 1.14, 0.94, 0.91, 0.06, 1.14, 0.94, 0.91, 1.53, 0.35, 0.54, 1.21]
)
# Control steps: descend, wait, close, lift, settle, hold.
DESCEND, WAIT, CLOSE, RAISE, SETTLE, HOLD = 48, 15, 66, 72, 24, 300
CLOSE_S, THUMB_DELAY_S = 0.52, 0.30
MAX_STEP_RAD = 0.16667  # A legal action of the one-arm task.

# Full edge lengths, m; the fingers are set for a height of 5 cm.
BOXES = [
    [0.05, 0.05, 0.05],
    [0.075, 0.0375, 0.05],
    [0.10, 0.05, 0.05],
    [0.15, 0.05, 0.05],
    [0.20, 0.0375, 0.05],
]
NUM_STARTS = 6


class Outcome(NamedTuple):
    height: Tensor  # [N] rise of the object's centre at the end, m.
    lowest: Tensor  # [N] smallest rise during the hold, m.
    drift: Tensor  # [N] motion of the object against the palm during the hold, m.


def ramp(start: Tensor, goal: Tensor, steps: int, step: int, dt_s: float):
    """Smooth motion with zero velocity and acceleration at both ends."""
    u = min(max(step / steps, 0.0), 1.0)
    position = start + u**3 * (10 - 15 * u + 6 * u**2) * (goal - start)
    velocity = 30 * u**2 * (1 - u) ** 2 / (steps * dt_s) * (goal - start)
    return position, velocity


def arm_plan(step: int, dt_s: float):
    lift_begins = DESCEND + WAIT + CLOSE
    if step < lift_begins:
        return ramp(UP, DOWN, DESCEND, step, dt_s)
    return ramp(DOWN, LIFT, RAISE, step - lift_begins, dt_s)


def hand_plan(step: int, dt_s: float) -> Tensor:
    closing_s = (step - DESCEND - WAIT) * dt_s
    share = torch.zeros(16)
    share[:12] = min(max(closing_s / CLOSE_S, 0.0), 1.0)
    share[12:] = min(max((closing_s - THUMB_DELAY_S) / CLOSE_S, 0.0), 1.0)
    return OPEN + share * (CLOSED - OPEN)


def arm_target(sim: RobotWorlds, step: int) -> Tensor:
    """Feed-forward of the drive's damping (kv/kp = 0.125 s) and feedback against swing."""
    wanted, speed = arm_plan(step, sim.control_dt_s)
    target = wanted + 0.125 * speed + torch.zeros(sim.num_envs, 1)
    position, velocity = sim.joint_pos[:, :4], sim.joint_vel[:, :4]
    target[:, :4] += 4.0 * (wanted[:4] - position) + 1.0 * (speed[:4] - velocity)
    previous = sim.ctrl[:, :7]
    return previous + (target - previous).clamp(-MAX_STEP_RAD, MAX_STEP_RAD)


def in_palm(sim: RobotWorlds) -> Tensor:
    """Object position in the frame of the palm link, [N, 3] m."""
    w, xyz = sim.site_quat[:, 1, :1], -sim.site_quat[:, 1, 1:]
    offset = sim.site_pos[:, 0] - sim.site_pos[:, 1]
    twice = 2 * torch.linalg.cross(xyz, offset)
    return offset + w * twice + torch.linalg.cross(xyz, twice)


def place(sim: RobotWorlds, half: Tensor, seed: int) -> None:
    """Put the hand above the objects, which are up to 1 cm and 0.2 rad off."""
    generator = torch.Generator().manual_seed(seed)
    offset = 2 * torch.rand(sim.num_envs, 3, generator=generator) - 1
    pose = torch.zeros(sim.num_envs, 7)
    pose[:, :2] = 0.01 * offset[:, :2]
    pose[:, 2] = TABLE_TOP_M + half[:, 2]
    yaw = 0.2 * offset[:, 2]
    pose[:, 3], pose[:, 6] = torch.cos(yaw / 2), torch.sin(yaw / 2)
    start = torch.cat([UP, OPEN]).repeat(sim.num_envs, 1)
    everywhere = torch.ones(sim.num_envs, dtype=torch.bool)
    sim.ctrl.copy_(start)
    sim.set_state(everywhere, start, torch.zeros_like(start), pose, torch.zeros(sim.num_envs, 6))


def grasp(sim: RobotWorlds, half: Tensor, seed: int) -> Outcome:
    place(sim, half, seed)
    begin = sim.object_pose[:, 2].clone()
    before_hold = DESCEND + WAIT + CLOSE + RAISE + SETTLE
    lowest = torch.full((sim.num_envs,), math.inf)
    held = drift = torch.zeros(0)
    for step in range(before_hold + HOLD):
        if step == before_hold:
            held, drift = in_palm(sim), torch.zeros(sim.num_envs)
        sim.ctrl[:, :7] = arm_target(sim, step)
        sim.ctrl[:, 7:] = hand_plan(step, sim.control_dt_s)
        sim.step()
        if step >= before_hold:
            lowest = torch.minimum(lowest, sim.object_pose[:, 2] - begin)
            drift = torch.maximum(drift, (in_palm(sim) - held).norm(dim=1))
    return Outcome(sim.object_pose[:, 2] - begin, lowest, drift)


@pytest.mark.parametrize("preset", ["settled", pytest.param("parity", marks=pytest.mark.slow)])
def test_scripted_grasp_lifts_and_holds_five_objects(preset):
    half = torch.tensor(BOXES).repeat_interleave(NUM_STARTS, dim=0) / 2
    sim = worlds(half, physics=PHYSICS_PRESETS[preset], num_threads=0)
    outcome = grasp(sim, half, seed=0)
    # Bounds of the settled physics over 50 starts: rise .198-.222 m, drift at most 8.5 mm.
    assert outcome.height.min() > 0.19 and outcome.height.max() < 0.24
    assert outcome.lowest.min() > 0.15
    assert outcome.drift.max() < 0.015
    assert not sim.bad.any()
