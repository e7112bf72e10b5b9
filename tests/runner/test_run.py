"""A whole run: start weights, a full disk, divergence, a foreign checkpoint."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, cast

import pytest
import torch

from epo import program
from epo.cli.arguments import split
from epo.cli.play.options import Options
from epo.config import Config, ConfigError
from epo.envs import VecEnv
from epo.quoting import assignment
from epo.record import files
from epo.record.csv import rows
from epo.runner import checkpoint
from epo.runner.checkpoint import CheckpointError
from epo.runner.run import run
from tasks import registry
from tests.composed import REPOSITORY, composed
from tests.stand_in import replace_in

RUN = [
    "task=ProbeReach",
    "device=cpu",
    "num_envs=16",
    "algo=sapg",
    "num_agents=2",
    "algo.network.kind=mlp",
    "algo.network.mlp_units=[8]",
    "algo.ppo.num_minibatches=2",
    "record.console=off",
    "record.tensorboard=false",
    "record.checkpoint_interval=2",
]


def make_env(cfg: Config) -> VecEnv:
    device = torch.device(cfg.device)
    return registry.make(cfg.task, cfg.engine, cfg.num_envs, device, cfg.seed, cfg.num_agents)


def start(run_dir: Path, *overrides: str) -> int:
    return run(composed(*RUN, f"run_dir={run_dir}", "max_iterations=4", *overrides), make_env)


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def test_run_leaves_everything_behind(tmp_path, capsys):
    assert start(tmp_path / "run") == 0
    found = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*")}
    expected = "config.yaml command.txt versions.json metrics.csv summary.json checkpoints/last.pt"
    assert set(expected.split()) <= found
    assert summary(tmp_path / "run")["status"] == "finished"
    assert " -m epo plot" in capsys.readouterr().out


def test_leader_is_unknown_before_an_episode_has_ended(tmp_path, capsys):
    assert start(tmp_path / "run", "max_iterations=1") == 0  # 16 of 50 control steps
    assert "leader: no episode has ended" in capsys.readouterr().out
    assert summary(tmp_path / "run")["metrics"]["leader/episode_return"] is None
    (row,) = rows(tmp_path / "run" / "metrics.csv")
    assert row["leader/episode_return"] == row["leader/fitness"] == "nan"
    assert start(tmp_path / "run", "resume=auto", "max_iterations=4") == 0
    assert "leader: episode return" in capsys.readouterr().out


class Wanderer:
    """A task that changes the working directory at every step."""

    def __init__(self, env: VecEnv, wander: Callable[[], None]) -> None:
        self._env, self._wander = env, wander

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, actions: torch.Tensor) -> Any:
        self._wander()
        return self._env.step(actions)


def test_second_ctrl_c_says_what_is_left_and_how_to_go_on(tmp_path, capsys):
    steps = iter(range(40))  # two iterations of 16 and a half

    def interrupt() -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt

    run_dir = tmp_path / "run"
    cfg = composed(*RUN, f"run_dir={run_dir}", "max_iterations=4")
    code = run(cfg, lambda cfg: cast(VecEnv, Wanderer(make_env(cfg), interrupt)))
    printed = capsys.readouterr().err
    assert code == 130
    assert "iteration 2 was saved last" in printed and f"resume={run_dir}" in printed
    assert not (run_dir / "summary.json").exists()
    assert start(run_dir, "resume=auto") == 0


def test_last_words_offer_a_video_where_the_task_can_be_drawn(tmp_path, capsys):
    for is_drawn in (False, True):
        cfg = composed(*RUN, f"run_dir={tmp_path / str(is_drawn)}", "max_iterations=1")
        assert run(cfg, make_env, is_drawn) == 0
        printed = capsys.readouterr().out
        assert " -m epo eval " in printed and (" -m epo play checkpoint=" in printed) == is_drawn


@pytest.mark.parametrize("resume", ["never", "auto"])
def test_paths_do_not_follow_the_working_directory(tmp_path, monkeypatch, resume: str):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    settings = [*RUN, "run_dir=run", "max_iterations=4", "record.tensorboard=true"]
    if resume == "auto":
        assert run(composed(*settings, "max_iterations=2"), make_env) == 0
    cfg = composed(*settings, f"resume={resume}")

    def make_wanderer(cfg: Config) -> Any:
        return Wanderer(make_env(cfg), lambda: monkeypatch.chdir(elsewhere))

    assert run(cfg, make_wanderer) == 0
    assert summary(home / "run")["iteration"] == 4
    assert len(list(rows(home / "run" / "metrics.csv"))) == 4
    assert not list(elsewhere.iterdir())


def test_last_words_give_the_command_that_goes_on(tmp_path, capsys, monkeypatch):
    run_dir = tmp_path / "run"
    command = [
        "train.py",
        *RUN,
        "algo.network.mlp_units=[8]",
        f"run_dir={run_dir}",
        "max_iterations=4",
    ]
    replace_in(program, "sys.argv", command, monkeypatch)
    start(run_dir)
    printed = capsys.readouterr().out.partition("continue it")[2]
    words = shlex.split(printed)[2:]  # after the interpreter and train.py
    assert words[-2:] == [f"resume={run_dir}", "max_iterations=8"]
    assert "algo.network.mlp_units=[8]" in words and f"run_dir={run_dir}" not in words
    assert run(composed(*words), make_env) == 0
    assert summary(run_dir)["iteration"] == 8


@pytest.mark.slow
def test_printed_commands_run_whatever_the_folder_is_called(tmp_path, capsys, monkeypatch):
    run_dir = tmp_path / "two words=3, [a] 'q' \"d\" $HOME ${x} größe\\"
    lines = [*RUN, assignment("run_dir", run_dir), "max_iterations=1"]
    replace_in(program, "sys.argv", [str(REPOSITORY / "train.py"), *lines], monkeypatch)
    assert run(composed(*lines), make_env) == 0
    printed = capsys.readouterr().out
    line = printed.partition("continue it")[2].strip()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert summary(run_dir)["iteration"] == 2
    words = shlex.split(printed.partition("look at it")[2].partition("\n")[0])
    assert words[1:4] == ["-m", "epo", "plot"]
    assert rows(Path(words[4]) / "metrics.csv")
    (options, _) = split([assignment("checkpoint", words[4])], Options())
    assert options.checkpoint == str(run_dir)


def test_start_weights_are_taken_from_a_checkpoint(tmp_path):
    start(tmp_path / "one")
    source = tmp_path / "one/checkpoints/last.pt"
    # A step size next to nothing: the weights stay those of the checkpoint.
    tiny = ["algo.ppo.learning_rate=1e-12", "algo.ppo.min_learning_rate=1e-12"]
    still = ["algo.ppo.schedule=fixed", f"checkpoint={source}", "seed=7"]
    start(tmp_path / "two", *tiny, *still)
    one = checkpoint.load(source)["model"]
    two = checkpoint.load(tmp_path / "two/checkpoints/last.pt")["model"]
    torch.testing.assert_close(two["gene"], one["gene"], atol=1e-9, rtol=0)


def test_checkpoint_of_another_network_is_refused(tmp_path):
    start(tmp_path / "one")
    sizes = r"its network does not fit \(its model\.\S+ is \[8, \d+\], here it is \[9, \d+\]\); use"
    with pytest.raises(CheckpointError, match=sizes):
        other = f"checkpoint={tmp_path / 'one/checkpoints/last.pt'}"
        start(tmp_path / "two", other, "algo.network.mlp_units=[9]")


def contents(root: Path) -> Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_refused_weights_leave_no_folder(tmp_path):
    start(tmp_path / "one")
    other = f"checkpoint={tmp_path / 'one/checkpoints/last.pt'}"
    with pytest.raises(CheckpointError):
        start(tmp_path / "new/two", other, "algo.network.mlp_units=[9]")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": {"observation": 99}}, r"trained on 99 observation numbers, ProbeReach has \d+"),
        ({"tracker": None}, "does not fit this run"),
        ({"learner": []}, "does not fit this run"),
        ({"model": {}}, r"does not fit this run \(it has no model\."),
        ({"env": 7}, "does not fit this run"),
        ({"collector": {"observation": 3}}, "does not fit this run"),
        ({"evolution": "x"}, "does not fit this run"),
        ({"iteration": "4"}, "its iteration is '4'"),
        ({"frames": None}, "its frames is None"),
    ],
)
def test_refused_resume_leaves_every_byte(change: Dict[str, Any], message: str, finished, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir)
    last = run_dir / "checkpoints/last.pt"
    state = {**checkpoint.load(last), **change}
    torch.save({"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "state": state}, last)
    for older in last.parent.glob("last-*.pt"):
        older.unlink()
    before = contents(run_dir)
    with pytest.raises(CheckpointError, match=message) as caught:
        start(run_dir, f"resume={run_dir}", "max_iterations=8")
    assert "\n" not in str(caught.value)
    assert contents(run_dir) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of four iterations."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    assert start(run_dir) == 0
    return run_dir


def test_frames_are_what_was_run_whatever_the_horizon_becomes(finished, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir)
    assert summary(run_dir)["frames"] == 4 * 16 * 16
    start(run_dir, f"resume={run_dir}", "max_iterations=5", "algo.ppo.horizon=32")
    assert summary(run_dir)["frames"] == 4 * 16 * 16 + 16 * 32
    assert [int(row["frames"]) for row in rows(run_dir / "metrics.csv")][-2:] == [1024, 1536]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["algo.evolution.fitness_metric=zzz"], r"fitness_metric=zzz: is not a metric.*successes"),
        (
            ["algo=pbt", "num_agents=4", "algo.pbt.objective=zzz"],
            "algo.pbt.objective=zzz: is not a metric of this task; choose one of episode_length",
        ),
        (["record.wandb=offline"], r"record\.wandb=offline: the package is missing: pip install"),
    ],
)
def test_what_the_task_or_a_package_lacks_is_refused_before_the_folder(lines, message, tmp_path):
    if "wandb" in lines[0] and find_spec("wandb"):
        pytest.skip("wandb is installed")
    with pytest.raises(ConfigError, match=message):
        start(tmp_path / "run", *lines)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", None])
def test_corrupt_or_foreign_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "file.pt"
    if content is None:
        torch.save({"weights": torch.ones(2)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint=.*file\.pt: "):
        start(tmp_path / "run", f"checkpoint={path}")


def test_full_disk_warns_and_keeps_the_previous_checkpoint(tmp_path, monkeypatch, capsys):
    real, last = os.fsync, tmp_path / "run/checkpoints/last.pt"

    def fsync(number: int) -> None:
        if last.exists():  # full for good once the first checkpoint is there
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    replace_in(files, "os.fsync", fsync, monkeypatch)
    assert start(tmp_path / "run", "max_iterations=5") == 1
    *warnings, error = capsys.readouterr().err.splitlines()
    assert warnings and all(line.startswith("warning: checkpoint=") for line in warnings)
    assert error.startswith("error: checkpoint=") and "No space left" in error
    assert "previous checkpoint is unharmed" in error
    assert checkpoint.load(last)["iteration"] == 2


def test_diverged_run_fails_with_the_way_out(tmp_path, capsys):
    code = start(tmp_path / "run", "algo.ppo.reward_scale=1e30", "algo.normalizer.value=false")
    assert code == 1
    assert "training diverged" in capsys.readouterr().err
    assert summary(tmp_path / "run")["status"] == "failed"
