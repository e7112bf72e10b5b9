from __future__ import annotations

from typing import Any

import pytest
import torch

from tasks import registry
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines import config as engines
from tasks.engines.config import AutoCfg, MujocoCfg
from tests.stand_in import replace_in
from tests.tasks.allegro_kuka.doubles import task_cfg

CPU = torch.device("cpu")
ALLEGRO_KUKA = {
    "AllegroKukaRegrasping": (99, 23),
    "AllegroKukaReorientation": (117, 23),
    "AllegroKukaThrow": (99, 23),
    "AllegroKukaTwoArmsRegrasping": (169, 46),
    "AllegroKukaTwoArmsReorientation": (196, 46),
    "AllegroKukaTwoArmsReorientationPartition": (196, 46),
    "AllegroKukaTwoArmsReorientationHole": (196, 46),
    "AllegroKukaTwoArmsReorientationBarrier": (196, 46),
}
"""Sizes of observation and action."""


def test_names_list_every_task_file() -> None:
    assert set(ALLEGRO_KUKA) < set(registry.names())


def test_make_names_the_nearest_task_of_an_unknown_one() -> None:
    with pytest.raises(ValueError, match=r"'AllegroKukaRegraspin'.*'AllegroKukaRegrasping'"):
        registry.make(AllegroKukaCfg(name="AllegroKukaRegraspin"), AutoCfg(), 2, CPU, 0)


def test_make_names_the_nearest_engine_of_an_unknown_one() -> None:
    with pytest.raises(ValueError, match=r"engine\.name='mujco'.*'mujoco'"):
        registry.make(AllegroKukaCfg(), MujocoCfg(name="mujco"), 2, CPU, 0)


def test_make_refuses_envs_that_do_not_split_over_agents() -> None:
    with pytest.raises(ValueError, match=r"num_envs=5.*num_agents=2"):
        registry.make(AllegroKukaCfg(), AutoCfg(), 5, CPU, 0, num_agents=2)


def test_make_names_the_package_to_install_without_mujoco(monkeypatch) -> None:
    replace_in(engines, "importlib.util.find_spec", lambda name: None, monkeypatch)
    with pytest.raises(ValueError, match=r"engine=mujoco.*pip install 'epo\[mujoco\]'"):
        registry.make(AllegroKukaCfg(), AutoCfg(), 2, CPU, 0)


def test_make_refuses_a_device_that_the_engine_cannot_use() -> None:
    with pytest.raises(ValueError, match=r"device=cuda.*use device=cpu"):
        registry.make(AllegroKukaCfg(), MujocoCfg(), 2, torch.device("cuda"), 0)


def make_real(name: str, seed: int = 0) -> Any:
    pytest.importorskip("mujoco", minversion="4.0")
    return registry.make(task_cfg(name), AutoCfg(num_threads=2), 4, CPU, seed)


@pytest.mark.parametrize("name", ALLEGRO_KUKA)
def test_mujoco_task_runs_finite_under_random_actions(name: str) -> None:
    env = make_real(name)
    generator = torch.Generator().manual_seed(0)
    observation = env.reset()
    assert (env.spec.observation_dim, env.spec.action_dim) == ALLEGRO_KUKA[name]
    assert observation.shape == (4, env.spec.observation_dim)
    for _ in range(30):
        action = 2 * torch.rand(4, env.spec.action_dim, generator=generator) - 1
        step = env.step(action)
        assert torch.isfinite(step.observation).all()
        assert step.observation.abs().max() <= 10
        assert torch.isfinite(step.reward).all()
        assert not (step.terminated & step.truncated).any()
    # Objects have settled on the table; a real palm has moved.
    assert (env.sim.object_pose[:, 2] > 0.5).all()
    assert env.sim.site_linvel[:, 1].norm(dim=-1).min() > 0
    env.close()


@pytest.mark.parametrize(
    "name",
    ["AllegroKukaRegrasping", "AllegroKukaThrow", "AllegroKukaTwoArmsReorientationPartition"],
)
def test_mujoco_resume_equals_uninterrupted_run(name: str) -> None:
    env = make_real(name)
    generator = torch.Generator().manual_seed(1)
    actions = 2 * torch.rand(25, 4, env.spec.action_dim, generator=generator) - 1
    env.reset()
    for action in actions[:15]:
        env.step(action)
    state = env.state_dict()
    expected = [env.step(action) for action in actions[15:]]
    env.close()
    other = make_real(name, seed=5)
    other.load_state_dict(state)
    for action, step in zip(actions[15:], expected, strict=True):
        again = other.step(action)
        assert torch.equal(again.observation, step.observation)
        assert torch.equal(again.reward, step.reward)
    other.close()
