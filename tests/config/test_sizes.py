"""Every algorithm in the sizes of a laptop and of a GPU: it composes, fits and divides evenly."""

from __future__ import annotations

from importlib.util import find_spec
from typing import List

import pytest

from epo import validation
from tests.composed import CONFIG_DIR, composed

ALGORITHMS = [
    pytest.param(name, marks=pytest.mark.skipif(not has_it, reason="rl_games is not installed"))
    for name in sorted(path.stem for path in (CONFIG_DIR / "algo").glob("*.yaml"))
    for has_it in [name != "rl_games_ppo" or find_spec("rl_games") is not None]
]
ONE_SIZE = ("ppo_coscaled", "ppo_coscaled_adaptive")
"""Presets whose minibatch is a number of samples, that of a GPU: elsewhere it must be chosen."""
EPO = ("epo", "epo_official", "epo_robust")
WITH_POPULATION = {"cpo", "cpo_released", *EPO, "pbt", "sapg"}


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_num_cuda_devices", lambda: 1)


def sized(algo: str) -> List[str]:
    """Choose the algorithm, and a minibatch that divides small batches where it must be chosen."""
    return [f"algo={algo}", *(["algo.ppo.minibatch_size=256"] if algo in ONE_SIZE else [])]


def resolved(*overrides: str):
    cfg = composed(*overrides)
    validation.validate(cfg)
    return validation.resolve(cfg)[0]


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_has_the_size_of_a_laptop(algo: str):
    experiment = "laptop" if algo in WITH_POPULATION else "laptop_ppo"
    # epo_robust is for six agents or more.
    agents = {**dict.fromkeys(WITH_POPULATION, 4), "epo_robust": 8}.get(algo, 1)
    more = ["num_agents=8"] if agents == 8 else []
    cfg = resolved(f"experiment={experiment}", *sized(algo), *more, "device=cpu")
    assert (cfg.algo.name, cfg.task.name) == (algo, "AllegroKukaRegrasping")
    assert (cfg.num_envs, cfg.num_agents) == (256, agents)
    assert cfg.algo.network.mlp_units == [256, 128, 64] and cfg.max_minutes == 10


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.usefixtures("one_gpu")
def test_every_algorithm_has_the_size_of_a_gpu(algo: str):
    cfg = resolved("task=AllegroKukaRegrasping", f"algo={algo}", "device=cuda")
    assert cfg.num_envs == 24_576
    expected = {"cpo": 6, "cpo_released": 6, "sapg": 6, **dict.fromkeys(EPO, 64), "pbt": 8}
    assert cfg.num_agents == expected.get(algo, 1)
    learners = cfg.num_agents if algo == "pbt" else 1
    sequences = cfg.num_envs // learners
    assert sequences % cfg.algo.ppo.num_minibatches == 0


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("settings", [[], ["device=cuda"]], ids=["cpu", "gpu"])
@pytest.mark.usefixtures("one_gpu")
def test_every_algorithm_fits_the_environments_of_gymnasium(algo: str, settings: List[str]):
    cfg = resolved("task=Gymnasium", *sized(algo), *(settings or ["device=cpu"]))
    assert cfg.num_envs % cfg.num_agents == 0
