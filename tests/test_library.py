"""The library: what it trains is a run like any other."""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import epo
from epo.cli import environment
from epo.config import ConfigError
from epo.library import TrainingFailedError
from epo.runner.evaluator import load_policy
from epo.runner.saved_run import SavedRun
from tests.integration.command import rows
from tests.tasks.vector import toys

SMALL = [
    *("device=cpu", "num_envs=6", "num_agents=3", "algo=epo", "max_iterations=2", "seed=4"),
    *("algo.ppo.horizon=4", "algo.ppo.num_minibatches=1", "algo.ppo.num_epochs=1"),
    *("algo.network.kind=lstm", "algo.network.lstm_units=8", "algo.network.mlp_units=[8]"),
    *("record.console=off", "record.tensorboard=false"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recurrent agents, trained for two iterations."""
    folder = tmp_path_factory.mktemp("library") / "run"
    cfg = epo.compose("task=ProbeReach", "task.episode_length=5", *SMALL, f"run_dir={folder}")
    assert epo.train(cfg) == folder
    return folder


def test_importing_the_library_imports_no_torch():
    code = "import epo, sys; assert 'torch' not in sys.modules; print(*epo.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(done.stdout.split()) == epo.__all__


def test_command_that_continues_the_run_composes_to_it(run: Path, capsys, tmp_path: Path):
    line = (run / "command.txt").read_text().strip().splitlines()[-1]
    words = shlex.split(line.partition("&& ")[2])
    assert words[1:4] == ["-m", "epo", "train"]
    (cfg,) = environment.configurations(words[4:])
    ours = SavedRun(run).settings
    theirs = OmegaConf.to_container(OmegaConf.structured(cfg.algo))
    assert ours["algo"] == theirs and ours["seed"] == cfg.seed == 4
    # Resumed, as the last words of the run say.
    again = epo.compose(*words[4:], f"resume={run}", "max_iterations=3")
    again.run_dir = None
    assert epo.train(again) == run
    assert [row["iteration"] for row in rows(run)] == ["1", "2", "3"]


@pytest.mark.parametrize("agent", [0, 2])
def test_policy_acts_as_in_evaluations_with_its_memory(run: Path, agent: int):
    saved = SavedRun(run)
    cfg = epo.compose("task=ProbeReach", *SMALL, "num_agents=3")
    env = epo.make_env(cfg)
    expected = load_policy(cfg.algo, 3, saved.state, saved.file, env, [agent], None)
    policy = epo.load(run, agent)
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        observation = torch.randn(6, 4, generator=generator)
        is_first = torch.full((6,), step in (0, 3))
        action = expected.act(observation, is_first).clamp(-1, 1)
        if step == 3:
            policy.reset()
        assert torch.equal(policy.act(observation), action)
    env.close()


def test_policy_takes_what_it_is_given(run: Path):
    policy = epo.load(run)
    assert policy.agent == 2
    batch = np.random.default_rng(0).normal(size=(5, 4))
    of_batch = policy.act(batch)
    assert isinstance(of_batch, np.ndarray) and of_batch.shape == (5, 2)
    single = policy.act(batch[3].tolist())
    assert np.allclose(single, of_batch[3], atol=1e-6)
    noisy = epo.load(run, deterministic=False, seed=1).act(batch)
    assert not np.allclose(noisy, of_batch)
    with pytest.raises(ValueError, match=r"shape \[3\]; ProbeReach has \[4\]"):
        policy.act([1.0, 2.0, 3.0])


@pytest.mark.parametrize("agent", [3, -1, "best"])
def test_agent_that_the_run_lacks_is_named(run: Path, agent: Any):
    with pytest.raises(ConfigError, match=rf"agent={agent}: use leader, or an index from 0 to 2"):
        epo.load(run, agent)


def test_run_of_an_older_version_says_what_to_do(run: Path, tmp_path: Path):
    spec = run / "spec.json"
    text = spec.read_text()
    spec.unlink()
    try:
        with pytest.raises(ConfigError, match=r"spec.json is missing or damaged"):
            epo.load(run)
    finally:
        spec.write_text(text)


def test_agents_are_evaluated(run: Path):
    found = epo.evaluate(run, agents="0,2", episodes=4)
    assert [result["agent"] for result in found] == [0, 2]
    assert all(result["num_episodes"] == 4 for result in found)
    assert math.isfinite(found[0]["return"]["value"])


def test_function_that_makes_environments_is_found_again(tmp_path: Path):
    few = [word for word in SMALL if not word.startswith(("num_", "algo=", "algo.network"))]
    few += ["num_envs=4", "algo=ppo", "algo.network.kind=mlp", "algo.network.mlp_units=[8]"]
    cfg = epo.compose(*few, f"run_dir={tmp_path / 'run'}", make=toys.make_gymnasium)
    assert cfg.task.make == "tests.tasks.vector.toys:make_gymnasium"
    run = epo.train(cfg)
    assert SavedRun(run).settings["task"]["make"] == cfg.task.make
    assert epo.load(run).act([0.0, 1.0]).shape == (2,)


def test_environments_can_be_handed_over(tmp_path: Path):
    cfg = epo.compose("task=ProbeReach", *SMALL, f"run_dir={tmp_path / 'run'}")
    run = epo.train(cfg, toys.make_ours(6, "cpu", 0))
    assert epo.load(run).spec.name == "Mine"
    with pytest.raises(ConfigError, match="num_envs=6: env has 3; use that"):
        epo.train(cfg, toys.make_ours(3, "cpu", 0))


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda num_envs: None, [], "use a function at the top of a module"),
        (None, ["algo=pp"], "did you mean ppo"),
        (None, ["--help"], "settings are written name=value"),
    ],
)
def test_wrong_settings_are_one_line(make: Any, settings: List[str], message: str):
    with pytest.raises(ConfigError, match=message):
        epo.compose(*settings, make=make)


def test_failed_run_says_why(tmp_path: Path):
    env = toys.make_ours(6, "cpu", 0)
    step, count = env.step, iter(range(10))

    def fail_later(action: torch.Tensor) -> Any:
        if next(count) > 6:
            raise RuntimeError("the cable broke")
        return step(action)

    env.step = fail_later
    cfg = epo.compose("task=ProbeReach", *SMALL, f"run_dir={tmp_path / 'run'}")
    with pytest.raises(TrainingFailedError, match="the cable broke"):
        epo.train(cfg, env)


@pytest.mark.parametrize("make", [toys.make_ours, toys.make_manager])
def test_environment_is_checked_whatever_its_manner(make: Any):
    epo.check_env(make(4, "cpu", 0))
    with pytest.raises(ValueError, match="has the shape"):
        epo.check_env(toys.make_wrong_ours(4, "cpu", 0))
