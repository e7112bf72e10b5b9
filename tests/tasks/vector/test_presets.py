"""The presets of mjlab and Isaac Lab build through the libraries' own doors: doubles of these."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, Iterator, List

import pytest
import torch

from tasks import registry
from tasks.engines.config import AutoCfg
from tests.composed import composed
from tests.tasks.vector.toys import ManagerToy

CPU = torch.device("cpu")


def install(monkeypatch: pytest.MonkeyPatch, modules: Dict[str, Dict[str, Any]]) -> None:
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


def settings(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        scene=SimpleNamespace(num_envs=1),
        sim=SimpleNamespace(device="cuda:0"),
        seed=None,
        episode_length_s=10.0,
        **more,
    )


def make(task: str, *overrides: str) -> Any:
    cfg = composed(f"task={task}", *overrides)
    return registry.make(cfg.task, AutoCfg(), 4, CPU, 3)


@pytest.fixture
def mjlab(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Configurations that environments were built with."""
    built: List[Any] = []

    def build(cfg: Any, device: str, render_mode: Any) -> ManagerToy:
        built.append((cfg, device, render_mode))
        return ManagerToy(cfg.scene.num_envs, "manual", "actor")

    known = {"list_tasks": lambda: ["Mjlab-Cartpole-Balance"], "load_env_cfg": lambda _: settings()}
    modules = {"mjlab": {}, "mjlab.tasks": {}, "mjlab.tasks.registry": known}
    install(monkeypatch, {**modules, "mjlab.envs": {"ManagerBasedRlEnv": build}})
    return built


def test_mjlab_is_built_with_size_seed_and_episodes_that_we_begin(mjlab: List[Any]):
    env = make("Mjlab", "task.kwargs={episode_length_s: 2.5}")
    ((cfg, device, render_mode),) = mjlab
    assert (cfg.scene.num_envs, cfg.seed, cfg.auto_reset) == (4, 3, False)
    assert (cfg.episode_length_s, device, render_mode) == (2.5, "cpu", None)
    assert (env.spec.name, env.spec.observation_dim) == ("Mjlab-Cartpole-Balance", 2)
    assert env.spec.control_dt_s == 0.02


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.id=Mjlab-Cartpole-Balanc", "did you mean 'Mjlab-Cartpole-Balance'"),
        ("task.kwargs={episode_length: 2}", "did you mean 'episode_length_s'"),
    ],
)
def test_mjlab_names_the_nearest(override: str, message: str, mjlab: List[Any]):
    with pytest.raises(ValueError, match=message):
        make("Mjlab", override)


@pytest.mark.parametrize("task", ["Mjlab", "IsaacLab"])
def test_what_is_not_installed_is_said(task: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("mjlab.tasks", "isaaclab.app"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"task={task} .*docs/vector.md"):
        make(task)


def isaaclab(monkeypatch: pytest.MonkeyPatch, events: List[str], major: int) -> List[Any]:
    """Install a double of Isaac Lab; return the configurations of what was built."""
    built: List[Any] = []
    cfg = settings(compute_final_obs=False) if major == 3 else settings()

    class Toy(ManagerToy):
        def close(self) -> None:
            events.append("environments closed")

    def build(id: str, cfg: Any) -> Toy:
        events.append("environments")
        built.append(cfg)
        return Toy(cfg.scene.num_envs, "extras" if major == 3 else "lost")

    @contextmanager
    def launch_simulation(cfg: Any, arguments: Any) -> Iterator[None]:
        events.append(f"launched on {cfg.sim.device}, {arguments.viz}")
        yield
        events.append("ended")

    class AppLauncher:
        def __init__(self, headless: bool, device: str) -> None:
            events.append("launched")
            self.app = SimpleNamespace(close=lambda: events.append("ended"))

    if major == 3:
        app = {
            "add_launcher_args": lambda parser: parser.add_argument("--viz", default="none"),
            "launch_simulation": launch_simulation,
        }
        utils = {"resolve_task_config": lambda id, agent: (cfg, None)}
    else:
        app = {"AppLauncher": AppLauncher}
        utils = {"parse_env_cfg": lambda id, device, num_envs: cfg}
    registered = {"Isaac-Ant-v0": None, "CartPole-v1": None}
    install(
        monkeypatch,
        {
            **{"isaaclab": {}, "isaaclab.app": app, "isaaclab_tasks": {}},
            "isaaclab_tasks.utils": utils,
            "gymnasium": {"make": build, "registry": registered},
        },
    )
    return built


@pytest.mark.parametrize("major", [2, 3])
def test_isaac_lab_lives_inside_its_simulation(major: int, monkeypatch: pytest.MonkeyPatch):
    events: List[str] = []
    built = isaaclab(monkeypatch, events, major)
    env = make("IsaacLab")
    (cfg,) = built
    assert (cfg.scene.num_envs, cfg.seed, cfg.sim.device) == (4, 3, "cpu")
    assert getattr(cfg, "compute_final_obs", None) == (True if major == 3 else None)
    env.close()
    first = "launched on cpu, none" if major == 3 else "launched"
    assert events == [first, "environments", "environments closed", "ended"]


def test_isaac_lab_names_the_nearest_and_ends_what_it_began(monkeypatch: pytest.MonkeyPatch):
    events: List[str] = []
    isaaclab(monkeypatch, events, 2)
    with pytest.raises(ValueError, match="did you mean 'Isaac-Ant-v0'"):
        make("IsaacLab", "task.id=Isaac-Ant-v1")
    assert events == ["launched", "ended"]
