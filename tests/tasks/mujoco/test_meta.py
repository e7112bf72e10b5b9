"""A task over a MuJoCo model on torch's meta device, where every read of a value raises."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("mujoco")

from tasks.engines.config import MujocoCfg
from tasks.engines.model import Model
from tasks.mujoco import env as envs
from tasks.mujoco.arm_reach import ArmReach
from tasks.mujoco.config import ArmReachCfg
from tests.meta import META, NoUploads, allow_meta, meta_tensors


class MetaSim:
    """The tensors of a simulator, without numbers."""

    def __init__(self, model: Model, num_envs: int) -> None:
        mj: Any = model.mj
        self.model, self.num_envs, self.device = model, num_envs, META
        self.control_dt_s, self.versions = model.control_dt_s, {}

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(num_envs, *shape, device=META)

        self.qpos, self.qvel, self.ctrl = zeros(mj.nq), zeros(mj.nv), zeros(mj.nu)
        self.sensors, self.mocap = zeros(mj.nsensordata), zeros(mj.nmocap, 7)
        self.home_qpos, self.bad = self.qpos[0], zeros().bool()

    def step(self) -> None:
        """Do nothing."""

    def set_state(self, mask: torch.Tensor, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        assert mask.is_meta and qpos.shape == self.qpos.shape and qvel.shape == self.qvel.shape


def test_a_step_with_resets_reads_nothing_and_sends_nothing(monkeypatch: pytest.MonkeyPatch):
    def make(model: Model, engine: Any, num_envs: int, device: Any, fields: Any) -> MetaSim:
        return MetaSim(model, num_envs)

    allow_meta(monkeypatch)
    monkeypatch.setattr(envs, "make_simulator", make)
    cfg = ArmReachCfg()
    env = envs.MujocoEnv(ArmReach(cfg), cfg, MujocoCfg(), 4, META, 0)
    with NoUploads():
        assert env.reset().shape == (4, 23)
        step = env.step(torch.zeros(4, 7, device=META))
    assert all(meta_tensors([*step[:5], step.metrics, step.scalars]))
