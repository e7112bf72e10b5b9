"""`python -m epo bench scaling`: its points, and what it makes of their rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from epo.__main__ import main as epo_main
from epo.cli.bench import scaling
from epo.cli.bench.report import Row
from epo.cli.bench.scaling import ScalingOptions, points
from epo.config import ConfigError
from tests.stand_in import replace_in

SMALL = ("num_envs=64", "algo.network.lstm_units=8", "algo.network.mlp_units=[6,4]", "device=cpu")


def row_of(command: List[str]) -> Row:
    """Return a row such as `bench learn` would print for its arguments."""
    settings: Dict[str, Any] = dict(word.split("=", 1) for word in command[5:])
    numbers = ("samples_per_s_min", "samples_per_s_max", "trained_samples_per_s", "rollout_s")
    return {
        "device": "cpu",
        "settings": command[5:],
        "algo": settings["algo"],
        "net": "lstm",
        "agents": int(settings.get("num_agents", 1)),
        "num_envs": int(settings["num_envs"]),
        "samples_per_s": 100.0,
        "peak_mem_mb": 300.0,
        **dict.fromkeys(numbers, 1.0),
        "update_s": 1.0,
        "matmul_share": None,
        "rollout_matmul_share": None,
        "overhead_share": None,
        "versions": {"torch": "2"},
    }


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> List[List[str]]:
    """Answer for every process; gives the commands."""
    found: List[List[str]] = []

    def run(command: List[str], **_: Any) -> Any:
        found.append(command)
        line = json.dumps({"rows": [row_of(command)]})
        return SimpleNamespace(returncode=0, stdout=f"a table\n{line}\n")

    replace_in(scaling, "subprocess.run", run, monkeypatch)
    return found


def test_points_vary_one_thing_at_a_time():
    options = ScalingOptions(agents="1,4", envs="1,2", network="1,2")
    found = points(options, SMALL)
    assert [(point.sweep, point.x) for point in found] == [
        ("agents", 1),
        ("agents", 4),
        ("envs", 64),
        ("envs", 128),
        ("network", 1),
        ("network", 2),
    ]
    assert found[1].settings == ("algo=epo", "num_agents=4", "num_envs=64")
    assert found[5].settings == (
        "algo=ppo",
        "num_envs=64",
        "algo.network.lstm_units=16",
        "algo.network.mlp_units=[12,8]",
    )
    assert found[2].settings == found[4].settings


def test_default_agents_share_the_environments_of_the_published_comparison():
    found = points(ScalingOptions(envs="1", network="1"), [])
    assert [point.x for point in found] == [1, 6, 16, 64, 256, 1536, 1]


def test_results_are_printed_and_written(
    commands: List[List[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sizes = ("agents=1", "envs=1,2", "network=1")
    epo_main(["bench", "scaling", *SMALL, *sizes, f"out={tmp_path / 'new'}"])
    # `envs` and `network` begin with the same measurement.
    assert len(commands) == 3
    lines = capsys.readouterr().out.splitlines()
    printed = [json.loads(line)["rows"][0] for line in lines if line.startswith("{")]
    expected = [("agents", 1), ("envs", 64), ("envs", 128), ("network", 1)]
    assert [(row["sweep"], row["x"]) for row in printed] == expected
    assert json.loads((tmp_path / "new" / "learn.json").read_text())[0]["versions"]
    with open(tmp_path / "new" / "learn.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["x"] for row in table] == ["1", "64", "128", "1"]
    assert (tmp_path / "new" / "scaling.png").stat().st_size > 1000


def test_what_was_measured_is_printed_if_a_later_point_fails(
    commands: List[List[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    real = scaling.subprocess.run

    def run(command: List[str], **options: Any) -> Any:
        if "num_agents=4" in command:
            return SimpleNamespace(returncode=137, stdout="")
        return real(command, **options)

    replace_in(scaling, "subprocess.run", run, monkeypatch)
    with pytest.raises(ConfigError, match=r"bench learn=.*num_agents=4.*ended with code 137"):
        epo_main(["bench", "scaling", *SMALL, "agents=1,4", "envs=1", "network=1"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    assert json.loads(line)["rows"][0]["agents"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["agents=1,many"], "agents=1,many: give whole numbers of at least 1"),
        (["envs=0"], "envs=0: give whole numbers of at least 1"),
        (["algo=sapg"], "algo=sapg: bench scaling sets it itself"),
        (["num_agents=2"], "num_agents=2: bench scaling sets it itself"),
        (["agents=5"], "num_envs=1536: 5 agents need equal blocks"),
        (["dones=0.002,0"], "argument=dones=0.002,0: gives several rows"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(
    arguments: List[str], message: str, commands: List[List[str]]
):
    with pytest.raises(ConfigError, match=message) as error:
        epo_main(["bench", "scaling", *arguments])
    assert "\n" not in str(error.value) and not commands


def test_bench_explains_itself(capsys: pytest.CaptureFixture[str]):
    epo_main(["bench", "scaling", "--help"])
    assert "usage: python -m epo bench scaling" in capsys.readouterr().out
