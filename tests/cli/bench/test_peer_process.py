"""The processes of `bench peers`: their turns, their environment, and what happens if one fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from epo import OPENMP
from epo.cli.bench import peer_process
from epo.cli.bench.peer_job import Comparison, Plan, comparisons
from epo.cli.bench.peer_process import Setup, ours, rl_games
from epo.config import ConfigError
from tests.cli.bench.test_peer_job import SMALL

SETUP = Setup(Plan(warm_up=0, turns=1, threads=1, dones=0.002), Path(sys.executable))
SCRIPT = """
import json, os, sys
job = json.loads(sys.stdin.readline())
print(json.dumps({"work": WORK, "precision": "fp32", "versions": ANSWER}), flush=True)
for turn, _ in enumerate(sys.stdin):
    times = {"iteration_s": 2.0 + turn, "rollout_s": 1.0, "update_s": 1.0 + turn}
    print("rl_games says hello")
    print(json.dumps({**times, "gradient_steps": STEPS, "peak_mem_mb": 9.0}), flush=True)
"""


@pytest.fixture(scope="module")
def small() -> Comparison:
    (one,) = comparisons([*SMALL, "net=mlp"], 0.002)
    return one


@pytest.fixture()
def script(small: Comparison) -> str:
    """Return a worker that does the right work and answers with made-up times."""
    work = {name: value for name, value in small.work.items() if name != "gradient_steps"}
    found = SCRIPT.replace("WORK", repr(work)).replace("ANSWER", "{}")
    return found.replace("STEPS", str(small.work["gradient_steps"]))


def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Put a script in the place of the worker."""
    path = tmp_path / "worker.py"
    path.write_text(code)
    monkeypatch.setattr(peer_process, "WORKER", path)


def test_every_turn_is_an_iteration(
    small: Comparison, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    worker(tmp_path, monkeypatch, script)
    with rl_games("rl_games", small, SETUP) as peer:
        rows = [peer.turn(), peer.turn()]
    assert [row["samples_per_s"] for row in rows] == [128 / 2.0, 128 / 3.0]
    assert [row["update_s"] for row in rows] == [1.0, 2.0] and rows[0]["peak_mem_mb"] == 9.0


def test_openmp_settings_of_epo_are_handed_on_only_if_asked(
    small: Comparison, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in OPENMP.items():
        monkeypatch.setenv(name, value)
    names = repr(["OMP_NUM_THREADS", *OPENMP])
    seen = f"{{name: os.environ.get(name) for name in {names}}}"
    worker(tmp_path, monkeypatch, script.replace('"versions": {}', f'"versions": {seen}'))
    threads = {"OMP_NUM_THREADS": "1"}
    with rl_games("rl_games", small, SETUP) as plain:
        assert plain.turn()["versions"] == {**threads, **dict.fromkeys(OPENMP)}
    with rl_games("rl_games", small, SETUP, has_our_openmp=True) as with_ours:
        assert with_ours.turn()["versions"] == {**threads, **OPENMP}


@pytest.mark.slow
@pytest.mark.parametrize("net", ["lstm", "mlp"])
def test_ours_does_the_work_of_the_comparison(net: str):
    (one,) = comparisons([*SMALL, f"net={net}"], 0.002)
    with ours("epo", one, SETUP) as peer:
        rows = [peer.turn() for _ in range(2)]  # The work is checked by it.
    assert all(row["rollout_s"] > 0 and row["update_s"] > 0 for row in rows)
    assert rows[0]["precision"] == "fp32" and rows[0]["samples_per_s"] > 0


def test_failing_process_is_an_error_with_its_last_words(
    small: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    worker(tmp_path, monkeypatch, "raise MemoryError('no room')")
    said = "peer=rl_games: ended with 1: MemoryError: no room"
    with pytest.raises(ConfigError, match=said), rl_games("rl_games", small, SETUP):
        pass


def test_process_that_ends_between_two_turns_is_an_error(
    small: Comparison, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    worker(tmp_path, monkeypatch, script + "    break\nsys.exit('tired')")
    with rl_games("rl_games", small, SETUP) as peer:
        peer.turn()
        peer._process.wait()
        with pytest.raises(ConfigError, match="ended with 1: tired"):
            peer.turn()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("samples", "'samples': 128", "'samples': 64"),
        ("gradient_steps", '"gradient_steps": 8', '"gradient_steps": 4'),
    ],
)
def test_other_work_is_an_error(
    small: Comparison,
    script: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    old: str,
    new: str,
):
    assert old in script
    worker(tmp_path, monkeypatch, script.replace(old, new))
    with pytest.raises(ConfigError, match=f"{name} of rl_games="), rl_games(
        "rl_games", small, SETUP
    ) as peer:
        peer.turn()
