"""Bad input to the real command: one line on stderr, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from epo.cli import environment
from epo.cli.compose import one_line_errors
from tests.composed import REPOSITORY

BAD = {
    "num_agents=0": ("num_agents=0:", "at least 1"),
    "num_agents=4 algo=pql": ("num_agents=4:", "algo=pql has no population; use algo=sapg"),
    "num_agents=7 num_envs=100": ("num_envs=100:", "use 98 or 105"),
    "task=Foo": ("task=Foo:", "AllegroKukaRegrasping, "),
    "algo=foo": ("algo=foo:", "cpo, epo, ppo, "),
    "device=cuda": ("device=cuda:", "use device=cpu"),
    "algo.ppo.horizon=long": ("algo.ppo.horizon=long:", "give a whole number"),
    "algo.ppo.gama=0.9": ("algo.ppo.gama=0.9:", "did you mean algo.ppo.gamma?"),
    "laptop": ("argument=laptop:", "did you mean experiment=laptop?"),
    "-m seed=1,x": ("seed=x:", "give a whole number"),
    "run_dir=train.py/run": ("run_dir=train.py/run:", "choose another run_dir"),
}

NEEDS_GYMNASIUM = {
    "task=Gymnasium task.env_id=CartPole-v1 algo=pql": ("algo.trainer=pql:", "use algo=ppo"),
    "task=Gymnasium task.env_id=CarRacing-v3 algo=ppo": (
        "algo.network.encoder=none:",
        "use algo.network.encoder=cnn",
    ),
    "task=Gymnasium task.env_id=HalfCheeta-v5": ("task.env_id=HalfCheeta-v5", "HalfCheetah-v5?"),
    "task=Gymnasium env_id=CartPole-v1": ("env_id=CartPole-v1:", "did you mean task.env_id?"),
}


def train(command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run train.py to its end, without a GPU."""
    environment: Dict[str, str] = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables}
    environment.setdefault("HYDRA_FULL_ERROR", "0")
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "train.py"), *command.split()],
        cwd=str(cwd),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", [*BAD, *NEEDS_GYMNASIUM])
def test_bad_input_gets_one_line(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    if command in NEEDS_GYMNASIUM:
        pytest.importorskip("gymnasium")
    if "CarRacing" in command:
        pytest.importorskip("Box2D")
    (tmp_path / "train.py").touch()  # a file where run_dir wants a folder
    setting, way_out = {**BAD, **NEEDS_GYMNASIUM}[command]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end, one_line_errors():
        for cfg in environment.configurations(command.split()):
            environment.train(cfg)
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert printed.count("\n") == 1
    assert printed.startswith(f"error: {setting}") and way_out in printed
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_command_itself_ends_with_the_line_and_its_code(tmp_path: Path):
    result = train("algo.ppo.gama=0.9", tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "did you mean algo.ppo.gamma?" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_training_ends_with_one_line_and_its_code(
    capsys: pytest.CaptureFixture[str],
):
    with pytest.raises(SystemExit) as end, one_line_errors():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_full_error_shows_where_it_came_from(tmp_path: Path):
    result = train("seed=abc", tmp_path, HYDRA_FULL_ERROR="1")
    assert result.returncode == 2
    assert "Traceback" in result.stderr and "ValidationError" in result.stderr


def test_typing_errors_answer_without_importing_torch(tmp_path: Path):
    # `-X importtime` lists every imported module on stderr; torch alone takes two seconds.
    result = subprocess.run(
        [sys.executable, "-X", "importtime", str(REPOSITORY / "train.py"), "algo=foo"],
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "omegaconf" in modules and "torch" not in modules


def test_help_names_groups_and_settings(tmp_path: Path):
    result = train("--help", tmp_path)
    assert result.returncode == 0
    assert "AllegroKukaRegrasping" in result.stdout and "num_agents" in result.stdout
    groups = {line.partition(":")[0] for line in result.stdout.splitlines() if ": " in line}
    assert {"task", "algo", "engine", "experiment"} <= groups
    assert list(tmp_path.iterdir()) == []
