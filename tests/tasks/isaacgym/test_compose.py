from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from epo.cli import environment
from tasks.engines.config import IsaacGymCfg
from tasks.isaacgym.compose import compose_cfg
from tasks.isaacgym.preload import import_isaacgymenvs
from tests.tasks.allegro_kuka.doubles import CFG, task_cfg


@pytest.fixture
def folder(isaacgym: Path) -> Path:
    import_isaacgymenvs()
    task_cfg("AllegroKukaThrow")  # composed now, since not inside of another composition
    return isaacgym / "isaacgymenvs" / "cfg"


def composed(folder: Path, task: str, *lines: str, device: str = "cuda:1") -> Any:
    engine_cfg = IsaacGymCfg(overrides=list(lines))
    return compose_cfg(folder, task_cfg(task), engine_cfg, 64, device, 3)


@pytest.mark.parametrize(
    ("task", "name", "subtask", "steps"),
    [
        ("AllegroKukaReorientation", "AllegroKuka", "reorientation", 1),
        ("AllegroKukaRegrasping", "AllegroKuka", "regrasping", 30),
        ("AllegroKukaThrow", "AllegroKuka", "throw", 5),
        ("AllegroKukaTwoArmsReorientation", "AllegroKukaTwoArms", "reorientation", 1),
        ("AllegroKukaTwoArmsRegrasping", "AllegroKukaTwoArms", "regrasping", 30),
    ],
)
def test_every_task_composes(folder: Path, task: str, name: str, subtask: str, steps: int) -> None:
    cfg = composed(folder, task)
    assert (cfg.task.name, cfg.task.env.subtask) == (name, subtask)
    assert cfg.task.env.successSteps == steps
    OmegaConf.resolve(cfg.task)
    assert cfg.task.env.numEnvs == 64


def test_our_settings_win_over_those_of_the_file(folder: Path) -> None:
    env = composed(folder, "AllegroKukaRegrasping").task.env
    # Their file says 300 and 3000; ours follow the EPO fork.
    assert (env.episodeLength, env.toleranceCurriculumInterval) == (400, 300)


def test_keys_that_the_version_lacks_are_added(folder: Path) -> None:
    assert "forceProbRange" not in (folder / "task" / "AllegroKuka.yaml").read_text()
    env = composed(folder, "AllegroKukaRegrasping").task.env
    assert list(env.forceProbRange) == [0.001, 0.1]


def test_gpu_pipeline_is_on_one_device(folder: Path) -> None:
    cfg = composed(folder, "AllegroKukaRegrasping")
    assert (cfg.sim_device, cfg.rl_device, cfg.pipeline) == ("cuda:1", "cuda:1", "gpu")
    assert cfg.task.sim.use_gpu_pipeline and cfg.task.sim.physx.use_gpu
    assert cfg.headless and cfg.seed == 3


def test_cpu_pipeline_has_no_gpu_physics(folder: Path) -> None:
    cfg = composed(folder, "AllegroKukaRegrasping", device="cpu")
    assert (cfg.sim_device, cfg.rl_device, cfg.pipeline) == ("cpu:0", "cpu", "cpu")
    assert not cfg.task.sim.use_gpu_pipeline and not cfg.task.sim.physx.use_gpu


def test_overrides_of_the_engine_have_the_last_word(folder: Path) -> None:
    lines = ("task.sim.physx.num_threads=2", "task.env.episodeLength=7")
    cfg = composed(folder, "AllegroKukaRegrasping", *lines)
    assert (cfg.task.sim.physx.num_threads, cfg.task.env.episodeLength) == (2, 7)


def test_composition_inside_hydra_leaves_the_running_one_untouched(folder: Path) -> None:
    environment.register()  # the schemas; no other test of this file asks for them
    with initialize_config_dir(str(CFG), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert composed(folder, "AllegroKukaThrow").task.env.subtask == "throw"
        assert GlobalHydra.instance().hydra is running
        assert compose(overrides=["+engine=mujoco"]).engine.name == "mujoco"


def test_composition_outside_hydra_leaves_none_behind(folder: Path) -> None:
    GlobalHydra.instance().clear()
    composed(folder, "AllegroKukaThrow")
    assert not GlobalHydra.instance().is_initialized()


def test_failed_composition_names_the_overrides_and_restores_hydra(folder: Path) -> None:
    with initialize_config_dir(str(CFG), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        with pytest.raises(ValueError, match=r"engine.overrides=\['task.sim.dtt=1'\].*dtt"):
            composed(folder, "AllegroKukaThrow", "task.sim.dtt=1")
        assert GlobalHydra.instance().hydra is running


def test_version_without_lstm_files_uses_the_plain_ones(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(str(folder), str(tmp_path / "cfg"))
    (tmp_path / "cfg" / "train" / "AllegroKukaLSTMPPO.yaml").unlink()
    cfg = composed(tmp_path / "cfg", "AllegroKukaThrow")
    assert cfg.wandb_name == "AllegroKukaPPO"


def test_version_without_the_task_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no AllegroKukaLSTM.yaml or AllegroKuka.yaml"):
        composed(tmp_path, "AllegroKukaThrow")
