from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from epo.__main__ import main as epo
from epo.config import ConfigError
from epo.runner import checkpoint
from epo.runner.run_folder import RunFolder, as_plain
from epo.runner.trainer import build_model
from tasks import registry
from tests.composed import composed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three agents that were never trained."""
    overrides = (
        "task=ProbeReach",
        "algo=epo",
        "num_agents=3",
        "num_envs=6",
        "device=cpu",
        "seed=5",
    )
    small = ("algo.network.kind=mlp", "algo.network.mlp_units=[8]", "task.episode_length=7")
    cfg = composed(*overrides, *small)
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    folder.last.parent.mkdir(parents=True)
    folder.config.write_text(OmegaConf.to_yaml(OmegaConf.create(as_plain(cfg))))
    env = registry.make(cfg.task, cfg.engine, 3, torch.device("cpu"), 0, 3)
    model = build_model(cfg.algo, env, 3, seed=0)
    checkpoint.save(folder.last, {"iteration": 1, "frames": 42, "model": model.state_dict()})
    return folder.path


def test_every_agent_and_mode_is_a_row_and_a_record(run: Path, capsys: pytest.CaptureFixture):
    epo(["eval", str(run), "agents=all", "episodes=10", "num_worlds=5"])
    printed = capsys.readouterr().out
    assert printed.count("deterministic") == printed.count("stochastic") == 3
    data = json.loads((run / "eval_last.json").read_text())
    assert data["seed"] == 10_005  # of the training: 5
    assert [(r["agent"], r["mode"]) for r in data["results"]] == [
        (agent, mode) for mode in ("deterministic", "stochastic") for agent in (0, 1, 2)
    ]
    for result in data["results"]:
        assert len(result["episodes"]) == result["num_episodes"] == 10
        assert {episode["steps"] for episode in result["episodes"]} == {7}
        mean = sum(e["return"] for e in result["episodes"]) / 10
        assert result["return"]["value"] == pytest.approx(mean, rel=1e-12)
        assert result["return"]["low"] < mean < result["return"]["high"]


def test_same_command_gives_the_same_numbers_and_another_seed_others(run: Path, tmp_path: Path):
    out = tmp_path / "a.json"
    contents = []
    for more in ([], [], ["seed=7"]):
        epo(["eval", str(run), "episodes=4", f"out={out}", *more])
        contents.append(json.loads(out.read_text())["results"])
    first, again, other = contents
    assert first == again
    assert first[0]["episodes"] != other[0]["episodes"]
    deterministic, stochastic = first
    assert deterministic["agent"] == 2  # the leader
    assert deterministic["episodes"] != stochastic["episodes"]


def test_episodes_that_do_not_end_are_counted(run: Path, capsys: pytest.CaptureFixture):
    epo(["eval", str(run), "episodes=4", "max_steps=3", "modes=deterministic"])
    printed = capsys.readouterr().out
    assert "4 episodes had not ended" in printed
    assert json.loads((run / "eval_last.json").read_text())["results"][0]["num_missing"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no such file or folder"),
        (["RUN", "RUN"], "one at a time"),
        (["agents=all"], "name one run"),
        (["RUN", "agents=3"], "agents=3: use leader, all, or indices from 0 to 2"),
        (["RUN", "episodes=0"], "episodes=0: use a whole number"),
        (["RUN", "modes=determinstic"], "did you mean deterministic"),
        (["RUN", "level=0.01"], "level=0.01: the task has no curriculum"),
        (["RUN", "out=table.csv"], "its name must end in .json"),
        (["RUN", "out=/nowhere/a.json"], "choose another out=<file>.json"),
        (["RUN", "engine=mujco"], "mujoco"),
        (["RUN", "task=ProbeMemory"], "does not fit the task"),
    ],
)
def test_bad_input_is_one_line(run: Path, words: list, message: str):
    words = [str(run) if word == "RUN" else word for word in words]
    with pytest.raises(ConfigError) as caught:
        epo(["eval", *words])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_says_what_can_be_set(capsys: pytest.CaptureFixture):
    epo(["eval", "--help"])
    printed = capsys.readouterr().out
    for name in ("agents", "episodes", "modes", "engine", "level", "out"):
        assert f"\n  {name} " in printed
