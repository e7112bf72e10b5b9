"""Environments by their ids: those of the presets, and those that cannot be."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

pytest.importorskip("gymnasium")

from epo.runner.run_folder import runs_of
from epo.validation import resolve
from tasks import registry
from tasks.engines.config import AutoCfg
from tasks.gymnasium import config
from tasks.gymnasium.config import GymnasiumCfg
from tasks.registry import check
from tests.composed import composed
from tests.stand_in import replace_in
from tests.tasks.gymnasium.toys import TOYS

CPU = torch.device("cpu")
# Preset: package of its simulator, O, A, choices of each component.
PRESETS = {
    "Acrobot-v1": (None, 6, 1, (3,)),
    "Ant-v5": ("mujoco", 105, 8, ()),
    "BipedalWalker-v3": ("Box2D", 24, 4, ()),
    "CarRacing-v3": ("Box2D", 4 * 64 * 64, 1, (5,)),
    "CartPole-v1": (None, 4, 1, (2,)),
    "HalfCheetah-v5": ("mujoco", 17, 6, ()),
    "Hopper-v5": ("mujoco", 11, 3, ()),
    "LunarLander-v3": ("Box2D", 8, 1, (4,)),
    "LunarLanderContinuous-v3": ("Box2D", 8, 2, ()),
    "MountainCarContinuous-v0": (None, 2, 1, ()),
    "Pendulum-v1": (None, 3, 1, ()),
    "Swimmer-v5": ("mujoco", 8, 2, ()),
    "Walker2d-v5": ("mujoco", 17, 6, ()),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_composes_builds_and_steps(name: str):
    package, observation_dim, action_dim, choices = PRESETS[name]
    if package is not None:
        pytest.importorskip(package)
    cfg = composed(f"experiment=gymnasium/{name}")
    cfg, choices_made = resolve(cfg, ("cpu",))
    assert any("bootstrap_truncated=true (auto" in line for line in choices_made)
    assert (cfg.task.env_id, cfg.algo.name) == (name, "ppo")
    assert cfg.algo.ppo.bootstrap_truncated
    # A critic that normalises returns scales them itself.
    assert cfg.algo.ppo.reward_scale == 1.0 or not cfg.algo.normalizer.value
    cfg.task.vectorization = "sync"
    env = registry.make(cfg.task, cfg.engine, 2, CPU, 0)
    spec = env.spec
    assert spec.name == name
    assert (spec.observation_dim, spec.action_dim) == (observation_dim, action_dim)
    assert spec.choices == choices
    assert (spec.image_shape is not None) == (cfg.algo.network.encoder == "cnn")
    first = env.reset().clone()
    step = env.step(torch.ones(2, action_dim))
    assert step.observation.isfinite().all() and step.reward.isfinite().all()
    assert not torch.equal(step.observation, first)
    env.close()


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("HalfCheeta-v5", r"env_id=HalfCheeta-v5 .* did you mean HalfCheetah-v5\?"),
        ("HalfCheetah-v99", r"did you mean HalfCheetah-v"),
        ("CartPole", r"did you mean CartPole-v1\?"),
        ("two words", r"Malformed environment ID.*pprint_registry"),
        ("ALE/Pong-v5", r"pip install ale-py.*task\.env_id=ale_py:ALE/Pong-v5"),
        ("no_such_package:X-v0", r"there is no module no_such_package; install it, .*PYTHONPATH"),
        (f"{TOYS}Zzz-v0", r"`Zzz` doesn't exist; "),
    ],
)
def test_environment_that_does_not_exist_is_refused_before_anything_is_built(
    env_id: str, message: str
):
    with pytest.raises(ValueError, match=message) as error:
        check(GymnasiumCfg(env_id=env_id), AutoCfg())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vectorization": "fork"}, r"task\.vectorization='fork' .*auto, sync, async"),
        ({"frame_skip": 0}, r"task\.frame_skip=0 .*at least 1"),
        ({"max_episode_steps": -1}, r"task\.max_episode_steps=-1 .*at least 1"),
        ({"num_workers": 0}, r"task\.num_workers=0 .*at least 1"),
        ({"envs_per_core": 0}, r"task\.envs_per_core=0 .*at least 1"),
    ],
)
def test_check_names_setting_value_and_way_out(settings: Any, message: str):
    with pytest.raises(ValueError, match=message):
        check(GymnasiumCfg(**settings), AutoCfg())


def build(env_id: str, **kwargs: Any) -> None:
    registry.make(GymnasiumCfg(env_id=env_id, kwargs=kwargs), AutoCfg(), 1, CPU, 0)


def test_simulators_leave_no_log_in_the_working_directory(tmp_path, monkeypatch):
    """MuJoCo writes MUJOCO_LOG.TXT about every HalfCheetah unless its remarks go elsewhere."""
    mujoco = pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)
    build("HalfCheetah-v5")
    assert not list(tmp_path.iterdir())


def test_wrong_argument_is_refused():
    with pytest.raises(ValueError, match=r"task\.kwargs=\{'gravity': 9\} .*argument 'gravity'$"):
        build("CartPole-v1", gravity=9)


def test_missing_package_names_the_extra(monkeypatch):
    pytest.importorskip("Box2D")
    for name in [n for n in sys.modules if n.startswith(("Box2D", "gymnasium.envs.box2d"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(ValueError, match=r"env_id=LunarLander-v3 .*Box2D.*pip install 'epo\[gymn"):
        build("LunarLander-v3")


def test_missing_gymnasium_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ValueError, match=r"task=Gymnasium .*pip install 'epo\[gymnasium\]'"):
        check(GymnasiumCfg(), AutoCfg())


def test_old_python_is_refused(monkeypatch):
    replace_in(config, "sys.version_info", (3, 8, 18), monkeypatch)
    with pytest.raises(ValueError, match=r"needs Python 3\.10, this is 3\.8"):
        check(GymnasiumCfg(), AutoCfg())


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("task.kwargs.continuous=true", {"continuous": True}),
        ("task.kwargs={gravity: -5.0, continuous: true}", {"gravity": -5.0, "continuous": True}),
    ],
)
def test_arguments_of_any_name_come_from_the_command_line(override: str, expected: Any):
    assert composed("task=Gymnasium", override).task.kwargs == expected


@pytest.mark.parametrize(
    ("env_id", "folder"),
    [("HalfCheetah-v5", "HalfCheetah-v5"), ("ale_py:ALE/Pong-v5", "ale_py-ALE-Pong-v5")],
)
def test_run_folder_is_named_after_the_environment(env_id: str, folder: str):
    cfg = composed("task=Gymnasium", f"task.env_id='{env_id}'", "algo=ppo")
    assert runs_of(cfg).as_posix() == f"runs/{folder}/ppo"


@pytest.mark.parametrize("cores", [1, 4])
def test_auto_num_envs_is_the_tasks_own_number(monkeypatch, cores: int):
    from epo import validation

    monkeypatch.setattr(validation, "granted_cores", lambda: cores)
    monkeypatch.setattr(validation, "_num_cuda_devices", lambda: 1)
    for chosen in ("cpu", "cuda"):
        words = ("task=Gymnasium", "algo=ppo", f"device={chosen}", "task.envs_per_core=8")
        cfg, choices = validation.resolve(composed(*words, "precision=fp32"))
        assert cfg.num_envs == 8 * cores
        assert choices[-2] == f"num_envs={8 * cores} (auto: {cores} CPU cores)"
