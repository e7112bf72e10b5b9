from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Dict

import pytest
import torch

import tasks
from tasks import registry
from tasks.allegro_kuka.config import AllegroKukaCfg
from tasks.engines import config as engines
from tasks.engines.config import AutoCfg, MujocoCfg
from tasks.family import Family
from tasks.probes.config import ProbeCfg
from tasks.probes.env import make_probe
from tests.composed import composed
from tests.stand_in import replace_in
from tests.tasks.allegro_kuka.doubles import CFG, task_cfg

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


def test_every_task_file_is_of_a_family() -> None:
    for path in CFG.glob("task/*.yaml"):
        cfg = composed(f"task={path.stem}").task
        assert isinstance(registry.of(cfg), Family)


def test_make_names_the_nearest_family_of_an_unknown_one() -> None:
    with pytest.raises(ValueError, match=r"task.kind='clasic'.*did you mean 'classic'"):
        registry.make(AllegroKukaCfg(kind="clasic"), AutoCfg(), 2, CPU, 0)


@dataclass
class EchoCfg:
    """A task of somebody else."""

    kind: str = "echo"
    name: str = "Echo"
    episode_length: int = 3


class EchoFamily(Family):
    """The probe that rewards an observed sign, under another name."""

    def schemas(self) -> Dict[str, Any]:
        return {"base_echo": EchoCfg, "Echo": EchoCfg}

    def make(self, cfg, engine_cfg, num_envs, device, seed, num_agents) -> Any:
        probe = ProbeCfg(name=cfg.name, probe="policy", episode_length=cfg.episode_length)
        return make_probe(probe, num_envs, device, seed, num_agents)


FAMILY = EchoFamily()


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, "TARGETS", dict(registry.TARGETS))
    monkeypatch.setattr(registry, "_families", dict(registry._families))
    return f"{__name__}:FAMILY"


def test_a_registered_family_is_made_with_what_it_leaves_to_the_usual_answers(echo: str) -> None:
    tasks.register("echo", echo)
    cfg = EchoCfg()
    env = registry.make(cfg, AutoCfg(), 4, CPU, 0)
    assert env.spec.name == "Echo" and env.reset().shape == (4, 1)
    family = registry.of(cfg)
    assert family.episode_length(cfg) == 3
    assert family.clock(cfg, AutoCfg()) is None
    assert family.describe(cfg, 1, 1).observation[0].stop == 1
    with pytest.raises(ValueError, match=r"task=Echo .*no picture"):
        family.prepare_drawing(cfg, AutoCfg())
    # Nothing is known of its numbers, though others have a setting of that name.
    registry.check(EchoCfg(episode_length=-1), AutoCfg())


def test_a_kind_is_registered_once(echo: str) -> None:
    registry.register("echo", echo)
    registry.register("echo", echo)
    with pytest.raises(ValueError, match=r"task.kind=classic .*classic.family:FAMILY already"):
        registry.register("classic", echo)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing.here:FAMILY", "ModuleNotFoundError"),
        (f"{__name__}:NOTHING", "has no attribute 'NOTHING'"),
        (f"{__name__}:CPU", "is device, no tasks.family.Family"),
        ("words", "cannot be imported"),
    ],
)
def test_what_is_no_family_is_refused(echo: str, target: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^task.kind=echo .*{message}"):
        registry.register("echo", target)


def test_families_of_installed_packages_are_found_and_broken_ones_said(
    echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = {"echo": echo, "broken": "nothing.here:FAMILY"}
    monkeypatch.setattr(registry, "installed", lambda: offered)
    store = SimpleNamespace(names=set(), store=lambda group, name, node: store.names.add(name))
    (failure,) = registry.store_schemas(store)
    assert "nothing.here:FAMILY cannot be imported" in failure
    assert {"base_echo", "Echo", "base_allegro_kuka", "base_mujoco"} < store.names


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
