"""All Allegro-Kuka tasks on torch's meta device, where every read of a value raises."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tasks.allegro_kuka import build
from tasks.allegro_kuka.worlds import Worlds
from tasks.engines.config import MujocoCfg
from tests.meta import META, NoUploads, allow_meta, meta_tensors
from tests.tasks.allegro_kuka.doubles import CFG, StillSim, task_cfg

TASKS = sorted(path.stem for path in (CFG / "task").glob("AllegroKuka*.yaml"))
NUM_ENVS = 4


def _meta_sim(cfg: Any, engine_cfg: Any, worlds: Worlds, device: torch.device) -> StillSim:
    assert all(meta_tensors(worlds._asdict()))
    sim = StillSim(len(worlds.object_mass), cfg.num_arms, device=str(device))
    if cfg.wall == "partition":
        sim.wall_pose = torch.zeros(sim.num_envs, 7, device=device)
    return sim


@pytest.fixture(autouse=True)
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "make_sim", _meta_sim)
    allow_meta(monkeypatch)


def _make(name: str, *overrides: str) -> Any:
    cfg, engine = task_cfg(name, *overrides), MujocoCfg(name="meta")
    return build.build(cfg, engine, NUM_ENVS, META, 0, 2)


def _run(env: Any) -> None:
    """Reset and step; the host may send nothing to the device meanwhile."""
    with NoUploads():
        assert env.reset().shape == (NUM_ENVS, env.spec.observation_dim)
        step = env.step(torch.zeros(NUM_ENVS, env.spec.action_dim, device=META))
    assert all(meta_tensors([*step[:5], step.metrics, step.scalars]))
    state = env.state_dict()
    # Generators are bytes on the host.
    assert all(meta_tensors([state["episode"], state["curriculum"], state["sim"]]))


def test_there_are_eight_tasks():
    assert len(TASKS) == 8


@pytest.mark.parametrize("name", TASKS)
def test_randomised_task_reads_nothing_from_the_device(name: str):
    walls = ["observe_wall=true"] if name.endswith("Partition") else []
    _run(_make(name, "randomize=[all]", "arm_action=delta", *walls))


@pytest.mark.parametrize("name", ["AllegroKukaRegrasping", "AllegroKukaTwoArmsReorientation"])
def test_plain_task_with_members_reads_nothing_from_the_device(name: str):
    env = _make(name, "own_mass_force=true")
    env.separate(2)
    _run(env)
    observation = env.restart_agent(1)
    assert observation.is_meta and observation.shape == (NUM_ENVS // 2, env.spec.observation_dim)
