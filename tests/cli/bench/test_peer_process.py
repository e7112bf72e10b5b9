"""The processes of `bench peers`: their environment, and what happens if one fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from epo import OPENMP
from epo.cli.bench import peer_process
from epo.cli.bench.peer_job import Comparison, Plan, comparisons
from epo.cli.bench.peer_process import Setup, ours, rl_games
from epo.config import ConfigError
from tests.cli.bench.test_peer_job import SMALL

SETUP = Setup(Plan(warm_up=0, repetitions=1, threads=1, dones=0.002), Path(sys.executable))


@pytest.fixture(scope="module")
def small() -> Comparison:
    (one,) = comparisons([*SMALL, "net=mlp"], 0.002)
    return one


def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Put a script in the place of the worker."""
    path = tmp_path / "worker.py"
    path.write_text(code)
    monkeypatch.setattr(peer_process, "WORKER", path)


def test_openmp_settings_of_epo_are_handed_on_only_if_asked(
    small: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in OPENMP.items():
        monkeypatch.setenv(name, value)
    row = json.dumps({"work": small.work})
    code = "import json, os\nnames = " + repr(["OMP_NUM_THREADS", *OPENMP])
    code += f"\nseen = {{name: os.environ.get(name) for name in names}}\nrow = json.loads({row!r})"
    worker(tmp_path, monkeypatch, code + "\nprint(json.dumps({**row, 'seen': seen}))")
    threads = {"OMP_NUM_THREADS": "1"}
    assert rl_games(small, SETUP)["seen"] == {**threads, **dict.fromkeys(OPENMP)}
    assert rl_games(small, SETUP, has_our_openmp=True)["seen"] == {**threads, **OPENMP}


def test_ours_is_measured_by_bench_learn(small: Comparison):
    row = ours(small, SETUP)
    assert (row["num_envs"], row["net"], row["threads"], row["algo"]) == (
        8,
        "mlp",
        1,
        "rl_games_ppo",
    )
    assert row["samples_per_s"] > 0


def test_last_line_of_json_is_the_row(
    small: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    row = json.dumps({"work": small.work, "samples_per_s": 7.0})
    worker(tmp_path, monkeypatch, f"print('hello')\nprint('{{}}')\nprint({row!r})")
    assert rl_games(small, SETUP)["samples_per_s"] == 7.0


def test_failing_process_is_an_error_with_its_last_words(
    small: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    worker(tmp_path, monkeypatch, "raise MemoryError('no room')")
    with pytest.raises(ConfigError, match="ended with 1: MemoryError: no room"):
        rl_games(small, SETUP)


def test_other_work_is_an_error(small: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = json.dumps({"work": {**small.work, "samples": 64}})
    worker(tmp_path, monkeypatch, f"print({row!r})")
    with pytest.raises(ConfigError, match="samples of rl_games=64: 128 with our PPO"):
        rl_games(small, SETUP)
