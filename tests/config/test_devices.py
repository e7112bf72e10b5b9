"""`devices`: what is refused, and how ranks are counted."""

from __future__ import annotations

from typing import Any

import pytest

import epo.config.devices
from epo.config import ConfigError, PbtAlgoCfg
from epo.config.devices import (
    agents_here,
    check_dealt,
    check_devices,
    check_here,
    envs_unit,
    num_ranks,
    rank_device,
)
from epo.world import World
from tests.runner.small_config import small_config


def refused(**settings: Any) -> str:
    trainer = settings.pop("trainer", "ppo")
    cfg = small_config(**settings)
    cfg.algo.trainer = trainer
    with pytest.raises(ConfigError) as caught:
        check_devices(cfg)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("devices", [0, -1, 1.5, "two", [], [0, 0], [0, -1], ["a"], True])
def test_no_ranks_can_be_started_for(devices: Any):
    assert "devices" in refused(devices=devices, device="auto")


def test_settings_that_contradict_each_other():
    assert "use device=cuda" in refused(devices=2, device="cuda:1")
    assert "give a number" in refused(devices=[0, 3], device="cpu")
    for trainer in ("pql", "rl_games"):
        assert f"algo.trainer={trainer}" in refused(devices=2, trainer=trainer)


def test_environments_that_cannot_be_dealt():
    expected = "2 ranks need equal parts of every one of 3 agents; use 6 or 12"
    with pytest.raises(ConfigError, match=expected):
        check_dealt(small_config(num_agents=3, num_envs=9), 2)
    check_dealt(small_config(num_agents=3, num_envs=12), 2)


def test_members_that_cannot_be_dealt():
    algo = PbtAlgoCfg(name="pbt", trainer="pbt")
    cfg = small_config(num_agents=5, num_envs=20, algo=algo)
    with pytest.raises(ConfigError, match="num_agents=5: 2 ranks need equally many members; use 4"):
        check_dealt(cfg, 2)
    cfg.num_agents = 4  # a member's environments stay together
    check_dealt(cfg, 4)
    assert (envs_unit(cfg, 4), agents_here(cfg, 4)) == (4, 1)
    cfg.num_envs = 18
    with pytest.raises(ConfigError, match=r"num_envs=18.* use 16 or 20"):
        check_dealt(cfg, 4)
    algo.pbt.backend = "files"
    cfg.devices = 2
    with pytest.raises(ConfigError, match="every process is one member; use devices=1"):
        check_devices(cfg)


def test_more_ranks_than_devices():
    with pytest.raises(ConfigError, match="this machine has 2 CUDA devices; use fewer"):
        check_here(3, "cuda", 2)
    with pytest.raises(ConfigError, match="indices 0 to 1"):
        check_here([0, 3], "cuda", 2)
    with pytest.raises(ConfigError, match="this machine has 2 CPU cores"):
        check_here(4, "cpu", 2)
    check_here([1], "cuda", 2)
    check_here("all", "cuda", 2)


def test_ranks_are_counted():
    assert [num_ranks(devices, 4) for devices in (1, 3, "all", [0, 3])] == [1, 3, 4, 2]


def test_a_launcher_decides_on_ranks_and_devices(monkeypatch: pytest.MonkeyPatch):
    world = World(rank=5, size=8, local_rank=1, local_size=4)
    monkeypatch.setattr(epo.config.devices, "find_world", lambda: world)
    assert num_ranks(1, 4) == 8
    assert rank_device(small_config(device="cuda")) == "cuda:1"
    assert rank_device(small_config(device="cuda", devices=[0, 3])) == "cuda:3"
    assert rank_device(small_config(device="cpu")) == "cpu"
    with pytest.raises(ConfigError, match="--nproc-per-node"):
        check_here(1, "cuda", 2)
    cfg = small_config(num_agents=1, num_envs=12)
    with pytest.raises(ConfigError, match="use 8 or 16"):
        check_devices(cfg)
