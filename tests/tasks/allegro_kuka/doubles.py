"""Stand-ins for the tests of the task: a scripted simulator, scripted draws, configs by name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.allegro_kuka.draws import RandomDraws, Start
from tasks.allegro_kuka.geometry import Rows
from tasks.allegro_kuka.objects import deal, half_size, mass, object_scales
from tasks.allegro_kuka.task import AllegroKuka
from tests.composed import quick_compose

CFG = Path(__file__).resolve().parents[3] / "cfg"
LOWER = torch.tensor([-2.0] * 7 + [-0.3] * 12 + [0.279] + [-0.3] * 3)
UPPER = torch.tensor([2.0] * 7 + [1.7] * 16)


def task_cfg(name: str, *overrides: str) -> AllegroKukaCfg:
    """Compose `cfg/task/<name>.yaml` with overrides such as `force.scale=0`."""
    cfg = OmegaConf.to_object(OmegaConf.merge(_compose(name), OmegaConf.from_dotlist([*overrides])))
    assert isinstance(cfg, AllegroKukaCfg)
    return cfg


@lru_cache(maxsize=None)
def _compose(name: str) -> DictConfig:
    return quick_compose("config", [f"task={name}"]).task


class StillSim:
    """A simulator in which nothing moves but what the test or the task writes."""

    def __init__(
        self, num_envs: int, num_arms: int, control_dt_s: float = 1 / 60, device: str = "cpu"
    ) -> None:
        joints, sites = 23 * num_arms, 1 + 5 * num_arms
        self.num_envs, self.num_arms = num_envs, num_arms
        self.device, self.control_dt_s = torch.device(device), control_dt_s
        self.versions: Dict[str, str] = {}

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(num_envs, *shape, device=device)

        self.joint_lower = LOWER.repeat(num_arms).to(device)
        self.joint_upper = UPPER.repeat(num_arms).to(device)
        self.joint_pos, self.joint_vel, self.ctrl = zeros(joints), zeros(joints), zeros(joints)
        self.site_pos, self.site_linvel, self.site_angvel = (zeros(sites, 3) for _ in range(3))
        self.site_quat, self.object_pose, self.goal_pose = zeros(sites, 4), zeros(7), zeros(7)
        self.site_quat[..., 0] = self.object_pose[:, 3] = self.goal_pose[:, 3] = 1.0
        self.object_pose[:, 2] = self.goal_pose[:, 2] = self.site_pos[:, 0, 2] = 0.63
        self.object_force, self.object_mass = zeros(6), zeros() + 0.05
        self.wall_pose = zeros(0)
        self.bad = zeros().bool()

    def step(self) -> None:
        """Do nothing: the test moves things."""

    def set_state(
        self,
        mask: Tensor,
        joint_pos: Tensor,
        joint_vel: Tensor,
        object_pose: Tensor,
        object_vel: Optional[Tensor] = None,
    ) -> None:
        """Take over the state of the worlds in `mask`."""
        column = mask[:, None]
        if object_vel is None:
            object_vel = torch.zeros(self.num_envs, 6, device=self.device)
        self.joint_pos.copy_(torch.where(column, joint_pos, self.joint_pos))
        self.joint_vel.copy_(torch.where(column, joint_vel, self.joint_vel))
        for member, velocity in (
            (self.site_linvel, object_vel[:, :3]),
            (self.site_angvel, object_vel[:, 3:]),
        ):
            member[:, 0] = torch.where(column, velocity, member[:, 0])
        self.move_object(torch.where(column, object_pose, self.object_pose))

    def move_object(self, pose: Tensor) -> None:
        """Move all objects to `pose` [N, 7]."""
        self.object_pose.copy_(pose)
        self.site_pos[:, 0], self.site_quat[:, 0] = pose[:, :3], pose[:, 3:]

    def state_dict(self) -> Dict[str, Any]:
        """Return all read members."""
        names = ("joint_pos", "joint_vel", "object_pose", "site_pos", "site_quat")
        names += ("site_linvel", "site_angvel", "bad")
        return {name: getattr(self, name).clone() for name in names}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take all read members."""
        for name, value in state.items():
            getattr(self, name).copy_(value)

    def close(self) -> None:
        """Free nothing."""


class DriftingSim(StillSim):
    """Joints jump to their targets; objects and sites move with a random walk of its own."""

    def __init__(self, num_envs: int, num_arms: int) -> None:
        super().__init__(num_envs, num_arms)
        self.generator = torch.Generator().manual_seed(7)

    def step(self) -> None:
        """Move everything a little."""
        self.joint_vel.copy_(self.ctrl - self.joint_pos)
        self.joint_pos.copy_(self.ctrl)
        walk = torch.randn(self.site_pos.shape, generator=self.generator) * 0.02
        self.site_pos += walk
        self.object_pose[:, :3] = self.site_pos[:, 0]

    def state_dict(self) -> Dict[str, Any]:
        """Return all read members and the generator."""
        return {"members": super().state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take all read members and the generator."""
        super().load_state_dict(state["members"])
        self.generator.set_state(state["generator"])


def still_env(cfg: AllegroKukaCfg, num_envs: int = 4, seed: int = 0, sim=None) -> AllegroKuka:
    """Build the task over a simulator in which nothing moves, or over `sim`."""
    sim = sim or StillSim(num_envs, cfg.num_arms)
    scale = deal(object_scales(cfg.objects.sets), num_envs, 1, False).to(sim.device)
    sim.object_mass.copy_(mass(scale, cfg.objects.density))
    generator = torch.Generator(sim.device).manual_seed(seed)
    draws = RandomDraws(cfg, half_size(scale), sim.joint_lower, sim.joint_upper, generator)
    return AllegroKuka(cfg, sim, scale, draws, engine="still")


def put_object(env: AllegroKuka, xyz: Any) -> None:
    """Teleport all objects of a still environment to `xyz` [N, 3] or [3], m."""
    assert isinstance(env.sim, StillSim)
    pose = env.sim.object_pose.clone()
    pose[:, :3] = torch.tensor(xyz)
    env.sim.move_object(pose)


def wxyz(quat: np.ndarray) -> Tensor:
    """Turn quaternions [..., 4] xyzw of the golden vectors into wxyz."""
    return torch.from_numpy(quat).roll(1, dims=-1)


class GoldenSim(StillSim):
    """A simulator that plays back the states of a golden sequence."""

    def __init__(self, data: Dict[str, np.ndarray]) -> None:
        _, num_envs, arms, _ = data["palm_pos"].shape
        super().__init__(num_envs, arms, float(data["cfg_dt"]))
        self.joint_lower = torch.from_numpy(data["joint_lower"])
        self.joint_upper = torch.from_numpy(data["joint_upper"])
        self.object_mass[0] = float(data["object_mass_env0"])
        self.data, self.t = data, 0
        self.placed: Dict[str, Tensor] = {}

    def step(self) -> None:
        """Show the next stored state."""
        data, t = self.data, self.t
        position = np.concatenate(
            (data["object_pos"][t][:, None], data["palm_pos"][t], data["fingertip_pos"][t]), 1
        )
        quat = np.concatenate(
            (data["object_quat"][t][:, None], data["palm_quat"][t], data["fingertip_quat"][t]), 1
        )
        body = 1 + self.num_arms
        self.joint_pos.copy_(torch.from_numpy(data["joint_pos"][t]))
        self.joint_vel.copy_(torch.from_numpy(data["joint_vel"][t]))
        self.site_pos.copy_(torch.from_numpy(position))
        self.site_quat.copy_(wxyz(quat))
        for member, name in ((self.site_linvel, "lin_vel"), (self.site_angvel, "ang_vel")):
            member[:, 0] = torch.from_numpy(data[f"object_{name}"][t])
            member[:, 1:body] = torch.from_numpy(data[f"palm_{name}"][t])
        self.object_pose[:, :3], self.object_pose[:, 3:] = self.site_pos[:, 0], self.site_quat[:, 0]
        self.t += 1

    def set_state(self, mask, joint_pos, joint_vel, object_pose, object_vel=None) -> None:
        """Note what is placed where, and do so."""
        super().set_state(mask, joint_pos, joint_vel, object_pose, object_vel)
        self.placed = {"mask": mask.clone(), "object_pose": self.object_pose.clone()}


class GoldenDraws:
    """Draws of a golden sequence; those of step t are in force from its start."""

    def __init__(self, data: Dict[str, np.ndarray]) -> None:
        self.data, self.t = data, 0

    def _at(self, name: str, rows: Rows = slice(None)) -> Tensor:
        series = self.data[name]
        return torch.from_numpy(series[min(self.t, len(series) - 1)])[rows]

    def start(self, rows: Rows) -> Start:
        """Return the robot state of the resets at the start of step t."""
        names = ("reset_joint_pos", "reset_joint_vel", "force_prob")
        return Start(*(self._at(name, rows) for name in names))

    def object_pose(self, rows: Rows) -> Tensor:
        """Return the spawns at the start of step t."""
        return self._pose("spawn_object", rows)

    def goal_pose(self, rows: Rows) -> Tensor:
        """Return the goals of step t."""
        return self._pose("goal", rows)

    def _pose(self, name: str, rows: Rows) -> Tensor:
        quat = self._at(f"{name}_quat", rows).roll(1, dims=-1)
        return torch.cat((self._at(f"{name}_pos", rows), quat), dim=-1)

    def force(self, probability: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the hits and draws of step t, and go on: what is placed now is of step t + 1."""
        torch.testing.assert_close(probability, self._at("force_prob"), rtol=0, atol=0)
        drawn = self._at("force_hit"), self._at("force_draw")
        self.t += 1
        return drawn

    def state_dict(self) -> Dict[str, Any]:
        """Return the step."""
        return {"t": self.t}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Take the step."""
        self.t = state["t"]
