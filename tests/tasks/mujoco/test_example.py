"""A task of one's own on MuJoCo, from outside of the repository: by the library, by the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

pytest.importorskip("mujoco.batch")

import torch
from hydra.core.config_store import ConfigStore

import epo
import epo.config
from epo.cli import environment
from epo.config import ConfigError
from tasks import registry
from tasks.engines.config import MujocoCfg, MujocoWarpCfg
from tests.composed import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "examples"
SMALL = (
    *("num_envs=16", "device=cpu", "max_iterations=2", "algo.ppo.horizon=4", "algo=ppo"),
    *("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "algo.ppo.num_minibatches=2"),
    *("precision=fp32", "record.console=off", "record.tensorboard=false", "run_dir=run"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of one's own with the example, installed as a package is."""
    shutil.copy(EXAMPLES / "mujoco_task.py", tmp_path)
    shutil.copytree(EXAMPLES / "mujoco_task_cfg", tmp_path / "mujoco_task_cfg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def family(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Load the example as a plugin of this process, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(folder))
    for name in ("TARGETS", "_families"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    environment.register()
    store = ConfigStore.instance()
    monkeypatch.setitem(store.repo, "task", dict(store.repo["task"]))
    environment.load_plugins(["plugins=[mujoco_task]"])
    yield registry.family("swing_up")
    del sys.modules["mujoco_task"]


def run(folder: Path, words: List[str]) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(folder)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_short():
    assert len((EXAMPLES / "mujoco_task.py").read_text().splitlines()) < 80


def test_it_trains_with_its_yaml_and_is_evaluated(family, folder: Path):
    plugin = "plugins=[mujoco_task]"
    cfg = epo.compose(plugin, "search_path=[mujoco_task_cfg]", "task=SwingUpHeavy", *SMALL)
    assert (cfg.task.pole_kg, cfg.task.spread, cfg.engine.name) == (0.2, 1.0, "mujoco")
    trained = epo.train(cfg)
    with pytest.raises(ConfigError, match="asks to import the module 'mujoco_task'"):
        epo.evaluate(trained, episodes=2)
    settings = [plugin, "task.episode_length=5"]
    (result,) = epo.evaluate(trained, episodes=2, settings=settings)
    assert -6.0 < result["return"]["value"] < -4.5  # untrained, the poles hang


def test_its_worlds_are_as_it_says_on_both_engines(family):
    pytest.importorskip("mujoco_warp", minversion="4.0")
    cfg = family.schemas()["SwingUp"](pole_kg=0.2, spread=1.0)
    steps = []
    for engine in (MujocoCfg(num_threads=1), MujocoWarpCfg(solver_iterations=0)):
        env: Any = registry.make(cfg, engine, 4, torch.device("cpu"), 0)
        env.reset()
        steps += [env.step(torch.full((4, 1), float((-1) ** (i // 10)))) for i in range(40)]
        masses = [float(env.sim.world(i)[0].body("pole").mass[0]) for i in range(4)]
        assert min(masses) >= 0.2 and max(masses) <= 0.4 and len(set(masses)) == 4
        env.close()
    torch.testing.assert_close(steps[39].observation, steps[79].observation, atol=1e-3, rtol=0)


def test_an_installed_package_brings_it_to_the_real_command(folder: Path):
    package = folder / "swing_up-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: swing-up\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[epo.tasks]\nswing_up = mujoco_task:FAMILY\n")
    words = ["task=SwingUpHeavy", "--config-dir=mujoco_task_cfg", *SMALL]
    run(folder, ["-m", "epo", "train", *words])
    saved = (folder / "run" / "config.yaml").read_text()
    assert "pole_kg: 0.2" in saved and str(folder / "mujoco_task_cfg") in saved


@pytest.mark.slow
def test_the_script_itself_runs(folder: Path):
    assert "'value':" in run(folder, ["mujoco_task.py", *SMALL])
