"""Nothing is lost: kill, resume, interrupt; the result is that of an uninterrupted run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.integration.command import SMALL, assert_same_run, rows, start, train


def kill_after(process, metrics: Path, num_rows: int, with_signal: int) -> None:
    """Send a signal as soon as metrics.csv has `num_rows` rows."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.exists() and metrics.read_bytes().count(b"\n") > num_rows:
            process.send_signal(with_signal)
            break
        time.sleep(0.02)  # The run has the core meanwhile.
    process.communicate(timeout=60)


@pytest.mark.slow
def test_killed_and_resumed_run_equals_uninterrupted_run(tmp_path: Path):
    run = [*SMALL, "algo=epo", "num_agents=8", "max_iterations=60", "record.checkpoint_interval=7"]
    train([*run, "run_dir=whole"], tmp_path)
    process = start([*run, "run_dir=killed"], tmp_path)
    kill_after(
        process, tmp_path / "killed/metrics.csv", random.Random().randint(8, 50), signal.SIGKILL
    )
    assert process.returncode == -signal.SIGKILL
    train([*run, "run_dir=killed", "resume=auto"], tmp_path)
    assert len(rows(tmp_path / "whole")) == 60
    assert rows(tmp_path / "whole", "generations.csv"), "the test must cover generations"
    assert rows(tmp_path / "whole", "generations.csv") == rows(
        tmp_path / "killed", "generations.csv"
    )
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_resumed_physics_equals_uninterrupted_run(tmp_path: Path):
    pytest.importorskip("mujoco")
    run = [
        *(argument for argument in SMALL if not argument.startswith(("task", "num_envs"))),
        *("task=AllegroKukaRegrasping", "algo=sapg", "num_agents=2", "num_envs=8"),
        *("algo.network.kind=lstm", "algo.network.lstm_units=16", "algo.ppo.horizon=8"),
    ]
    train([*run, "max_iterations=12", "run_dir=whole"], tmp_path)
    train([*run, "max_iterations=5", "run_dir=halves"], tmp_path)
    train([*run, "max_iterations=12", "resume=halves"], tmp_path)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_and_ends_with_its_code(number, code, tmp_path: Path):
    process = start([*SMALL, "algo=ppo", "run_dir=run"], tmp_path)
    kill_after(process, tmp_path / "run/metrics.csv", 3, number)
    assert process.returncode == code
    done = len(rows(tmp_path / "run"))
    train([*SMALL, "algo=ppo", "resume=run", f"max_iterations={done + 1}"], tmp_path)
    assert [row["iteration"] for row in rows(tmp_path / "run")] == [
        str(i) for i in range(1, done + 2)
    ]
